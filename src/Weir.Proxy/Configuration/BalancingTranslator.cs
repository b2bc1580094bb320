using Envoy.Config.Core.V3;
using Envoy.Extensions.LoadBalancingPolicies.LeastRequest.V3;
using Envoy.Extensions.LoadBalancingPolicies.RingHash.V3;
using Envoy.Extensions.LoadBalancingPolicies.RoundRobin.V3;
using Google.Protobuf.WellKnownTypes;
using Weir.Proxy.LoadBalancing;
using Weir.Xds;
using XdsCluster = Envoy.Config.Cluster.V3.Cluster;
using XdsPolicy = Envoy.Config.Cluster.V3.Cluster.Types.LbPolicy;

namespace Weir.Proxy.Configuration;

/// <summary>How a cluster's endpoints are chosen among, from either of the two ways to say it.</summary>
static class BalancingTranslator
{
    const ulong LargestRing = 8 * 1024 * 1024;
    const ulong LargestMaglev = 5_000_011;
    const uint MostChoices = 64;

    public static BalancingOptions Translate(string owner, XdsCluster cluster, Reading reading)
    {
        if (cluster.LoadBalancingPolicy is { } policies)
        {
            // The first that is known, as the API has it.
            reading.NotCarriedOut($"{owner}: lb_policy beside load_balancing_policy", cluster.LbPolicy is not (XdsPolicy.RoundRobin or XdsPolicy.LoadBalancingPolicyConfig));
            reading.NotCarriedOut($"{owner}: {ConfigName(cluster)} beside load_balancing_policy", ConfigName(cluster).Length > 0);
            return policies.Policies.Select(p => FromExtension($"{owner}: load_balancing_policy", p.TypedExtensionConfig, reading)).FirstOrDefault(o => o is not null)
                ?? throw new ConfigException($"{owner}: load_balancing_policy: none of {string.Join(", ", policies.Policies.Select(p => p.TypedExtensionConfig?.TypedConfig?.TypeUrl))} is supported");
        }

        reading.NotCarriedOut($"{owner}: {ConfigName(cluster)} beside lb_policy {cluster.LbPolicy}", cluster.LbConfigCase != XdsCluster.LbConfigOneofCase.None && cluster.LbConfigCase != ConfigOf(cluster.LbPolicy));
        switch (cluster.LbPolicy)
        {
            case XdsPolicy.RoundRobin:
                return Slow($"{owner}: round_robin_lb_config", new BalancingOptions(BalancingPolicy.RoundRobin), cluster.RoundRobinLbConfig?.SlowStartConfig, reading);
            case XdsPolicy.LeastRequest:
                var least = cluster.LeastRequestLbConfig;
                return Slow($"{owner}: least_request_lb_config", Least($"{owner}: least_request_lb_config", least?.ChoiceCount, least?.ActiveRequestBias, reading), least?.SlowStartConfig, reading);
            case XdsPolicy.Random:
                return new BalancingOptions(BalancingPolicy.Random);
            case XdsPolicy.RingHash:
                var ring = cluster.RingHashLbConfig;
                return Ring($"{owner}: ring_hash_lb_config", ring?.MinimumRingSize, ring?.MaximumRingSize, ring?.HashFunction == XdsCluster.Types.RingHashLbConfig.Types.HashFunction.MurmurHash2);
            case XdsPolicy.Maglev:
                return Maglev($"{owner}: maglev_lb_config", cluster.MaglevLbConfig?.TableSize);
            default:
                throw new ConfigException($"{owner}: lb_policy {cluster.LbPolicy} is not supported");
        }
    }

    static XdsCluster.LbConfigOneofCase ConfigOf(XdsPolicy policy) => policy switch
    {
        XdsPolicy.RoundRobin => XdsCluster.LbConfigOneofCase.RoundRobinLbConfig,
        XdsPolicy.LeastRequest => XdsCluster.LbConfigOneofCase.LeastRequestLbConfig,
        XdsPolicy.RingHash => XdsCluster.LbConfigOneofCase.RingHashLbConfig,
        XdsPolicy.Maglev => XdsCluster.LbConfigOneofCase.MaglevLbConfig,
        _ => XdsCluster.LbConfigOneofCase.None,
    };

    static string ConfigName(XdsCluster cluster) => cluster.LbConfigCase switch
    {
        XdsCluster.LbConfigOneofCase.RoundRobinLbConfig => "round_robin_lb_config",
        XdsCluster.LbConfigOneofCase.LeastRequestLbConfig => "least_request_lb_config",
        XdsCluster.LbConfigOneofCase.RingHashLbConfig => "ring_hash_lb_config",
        XdsCluster.LbConfigOneofCase.MaglevLbConfig => "maglev_lb_config",
        _ => "",
    };

    static BalancingOptions? FromExtension(string field, TypedExtensionConfig? extension, Reading reading)
    {
        var value = extension?.TypedConfig?.Value;
        switch (extension?.TypedConfig?.TypeUrl)
        {
            case XdsTypes.RoundRobin:
                return Slow(field, new BalancingOptions(BalancingPolicy.RoundRobin), RoundRobin.Parser.ParseFrom(value).SlowStartConfig, reading);
            case XdsTypes.LeastRequest:
                var least = LeastRequest.Parser.ParseFrom(value);
                return Slow(field, Least(field, least.ChoiceCount, least.ActiveRequestBias, reading), least.SlowStartConfig, reading);
            case XdsTypes.RandomPolicy:
                return new BalancingOptions(BalancingPolicy.Random);
            case XdsTypes.PeakEwma:
                var decay = Envoy.Extensions.LoadBalancingPolicies.PeakEwma.V3Alpha.PeakEwma.Parser.ParseFrom(value).DecayTime;
                return new BalancingOptions(BalancingPolicy.PeakEwma, DecayMilliseconds: Math.Max(1, Common.Milliseconds(decay, 10_000)));
            case XdsTypes.RingHash:
                var ring = RingHash.Parser.ParseFrom(value);
                return Ring(field, ring.MinimumRingSize, ring.MaximumRingSize, ring.HashFunction == RingHash.Types.HashFunction.MurmurHash2);
            case XdsTypes.Maglev:
                return Maglev(field, Envoy.Extensions.LoadBalancingPolicies.Maglev.V3.Maglev.Parser.ParseFrom(value).TableSize);
            default:
                return null;
        }
    }

    static BalancingOptions Slow(string field, BalancingOptions options, XdsCluster.Types.SlowStartConfig? slow, Reading reading) =>
        WithSlowStart(field, options, slow?.SlowStartWindow, slow?.Aggression, slow?.MinWeightPercent?.Value, reading);

    static BalancingOptions Slow(string field, BalancingOptions options, Envoy.Extensions.LoadBalancingPolicies.Common.V3.SlowStartConfig? slow, Reading reading) =>
        WithSlowStart(field, options, slow?.SlowStartWindow, slow?.Aggression, slow?.MinWeightPercent?.Value, reading);

    static BalancingOptions WithSlowStart(string field, BalancingOptions options, Duration? window, RuntimeDouble? aggression, double? minimumPercent, Reading reading)
    {
        field = $"{field}: slow_start_config";
        reading.NotCarriedOut($"{field}.aggression.runtime_key", aggression?.RuntimeKey.Length > 0);
        if (aggression is not null && !(aggression.DefaultValue > 0))
        {
            throw new ConfigException($"{field}.aggression: {aggression.DefaultValue} is not more than 0");
        }

        if (minimumPercent is not null && !(minimumPercent is >= 0 and <= 100))
        {
            throw new ConfigException($"{field}.min_weight_percent: {minimumPercent} is not 0 to 100");
        }

        reading.NotCarriedOut($"{field}.aggression and min_weight_percent, without slow_start_window,", window is null && (aggression is not null || minimumPercent is not null));
        return window is null ? options : options with
        {
            SlowStartMilliseconds = Common.Milliseconds(window, 0),
            Aggression = aggression?.DefaultValue ?? 1,
            MinimumWeight = (minimumPercent ?? 10) / 100,
        };
    }

    static BalancingOptions Least(string field, uint? choices, RuntimeDouble? bias, Reading reading)
    {
        reading.NotCarriedOut($"{field}.active_request_bias.runtime_key", bias?.RuntimeKey.Length > 0);
        reading.NotCarriedOut($"{field}.choice_count above {MostChoices}", choices > MostChoices);
        return choices is < 2 ? throw new ConfigException($"{field}.choice_count: {choices} is less than 2")
            : bias is not null && !(bias.DefaultValue >= 0) ? throw new ConfigException($"{field}.active_request_bias: {bias.DefaultValue} is less than 0")
            : new BalancingOptions(BalancingPolicy.LeastRequest, (int)Math.Min(choices ?? 2, MostChoices), bias?.DefaultValue ?? 1);
    }

    static BalancingOptions Ring(string field, ulong? minimum, ulong? maximum, bool isMurmur)
    {
        if (isMurmur)
        {
            throw new ConfigException($"{field}.hash_function: MURMUR_HASH_2 is not supported, XX_HASH is");
        }

        var high = maximum ?? LargestRing;
        var low = minimum ?? Math.Min(1024, high);
        return low is > 0 and <= LargestRing && high is > 0 and <= LargestRing && low <= high
            ? new BalancingOptions(BalancingPolicy.RingHash, MinimumRing: low, MaximumRing: high)
            : throw new ConfigException($"{field}: minimum_ring_size and maximum_ring_size must be 1 to {LargestRing}, the minimum not above the maximum");
    }

    static BalancingOptions Maglev(string field, ulong? size)
    {
        var wanted = size ?? MaglevTable.DefaultSize;
        return wanted is > 1 and <= LargestMaglev && IsPrime(wanted) ? new BalancingOptions(BalancingPolicy.Maglev, MaglevSize: (int)wanted)
            : throw new ConfigException($"{field}.table_size: {wanted} is not a prime of at most {LargestMaglev}");
    }

    static bool IsPrime(ulong number)
    {
        for (ulong divisor = 2; divisor * divisor <= number; divisor++)
        {
            if (number % divisor == 0)
            {
                return false;
            }
        }

        return number > 1;
    }
}
