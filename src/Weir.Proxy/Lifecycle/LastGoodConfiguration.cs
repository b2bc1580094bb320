using Envoy.Service.Discovery.V3;
using Google.Protobuf;
using Google.Protobuf.WellKnownTypes;
using Weir.Proxy.Configuration;
using Weir.Proxy.Telemetry;
using Weir.Xds;
using Weir.Xds.Client;

namespace Weir.Proxy.Lifecycle;

/// <summary>
/// The configuration in force, kept in a file, so that a proxy that starts while the control plane is away serves as before. The
/// file holds private keys where SDS brings them: only its owner can read it.
/// </summary>
public sealed class LastGoodConfiguration(string path, ConfigStore store, ProxyLog log, TimeProvider time)
{
    static readonly TimeSpan Quiet = TimeSpan.FromMilliseconds(500);
    const int MaximumBytes = 256 * 1024 * 1024;

    readonly SemaphoreSlim changed = new(0, 1);

    /// <summary>Something has been applied; it will be written soon.</summary>
    public void Touch()
    {
        if (changed.CurrentCount == 0)
        {
            changed.Release();
        }
    }

    /// <summary>Writes after changes, until cancelled; then once more if needed.</summary>
    public async Task RunAsync(CancellationToken cancel)
    {
        while (true)
        {
            try
            {
                await changed.WaitAsync(cancel).ConfigureAwait(false);
                await Task.Delay(Quiet, time, cancel).ConfigureAwait(false);
            }
            catch (OperationCanceledException)
            {
                return;
            }

            Save();
        }
    }

    /// <summary>Replaces the file as a whole: after a crash it is the old one or the new one.</summary>
    void Save()
    {
        var temporary = path + ".new";
        try
        {
            using (var file = new FileStream(temporary, new FileStreamOptions
            {
                Mode = FileMode.Create,
                Access = FileAccess.Write,
                UnixCreateMode = UnixFileMode.UserRead | UnixFileMode.UserWrite,
            }))
            {
                foreach (var (type, resource) in store.Held)
                {
                    new DeltaDiscoveryResponse
                    {
                        TypeUrl = type,
                        Resources = { new Resource { Name = resource.Name, Version = resource.Version, Resource_ = new Any { TypeUrl = type, Value = resource.Value } } },
                    }.WriteDelimitedTo(file);
                }

                file.Flush(flushToDisk: true);
            }

            File.Move(temporary, path, overwrite: true);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            log.Warning($"the configuration could not be kept in {path}: {e.Message}");
        }
    }

    /// <summary>Puts the kept configuration in force, if there is one.</summary>
    public void Load()
    {
        try
        {
            if (!File.Exists(path) || new FileInfo(path).Length > MaximumBytes)
            {
                return;
            }

            var byType = XdsTypes.PushOrder.ToDictionary(t => t, _ => new List<ReceivedResource>());
            using (var file = File.OpenRead(path))
            {
                while (file.Position < file.Length)
                {
                    var message = DeltaDiscoveryResponse.Parser.ParseDelimitedFrom(file);
                    byType[message.TypeUrl].AddRange(message.Resources.Select(r => new ReceivedResource(r.Name, r.Version, r.Resource_.Value)));
                }
            }

            var count = 0;
            foreach (var type in XdsTypes.PushOrder.Where(t => byType[t].Count > 0))
            {
                var refused = store.Apply(type, byType[type], []);
                count += byType[type].Count - refused.Count;
                foreach (var (_, reason) in refused)
                {
                    log.Warning($"kept configuration: {reason}");
                }
            }

            log.Info($"{count} resources of the last good configuration are in force until the control plane answers");
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException or InvalidProtocolBufferException or KeyNotFoundException)
        {
            log.Warning($"the configuration kept in {path} cannot be read, and is left: {e.Message}");
        }
    }
}
