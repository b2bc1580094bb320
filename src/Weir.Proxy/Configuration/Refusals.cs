using Google.Protobuf;
using Weir.Proxy.Telemetry;
using Weir.Xds.Client;

namespace Weir.Proxy.Configuration;

/// <summary>
/// The one place where what goes wrong with a resource becomes its refusal, whatever it is: no resource can keep the others from being
/// taken. What nobody foresaw is a defect, and is logged as one.
/// </summary>
sealed class Refusals(ProxyLog log)
{
    /// <returns>Why it could not be done, or null.</returns>
    public string? Try(string what, Action action)
    {
        try
        {
            action();
            return null;
        }
        catch (ConfigException e)
        {
            return e.Message;
        }
        catch (InvalidProtocolBufferException e)
        {
            return $"{what} cannot be read: {e.Message}";
        }
        catch (Exception e)
        {
            log.Error($"{what} is refused for an internal error: {e}");
            return $"{what}: internal error: {e.GetType().Name}";
        }
    }

    public Dictionary<string, string> Each(string kind, IReadOnlyList<ReceivedResource> resources, Action<ReceivedResource> apply)
    {
        var refused = new Dictionary<string, string>();
        foreach (var resource in resources)
        {
            if (Try($"{kind} {resource.Name}", () => apply(resource)) is { } reason)
            {
                refused[resource.Name] = reason;
            }
            else
            {
                refused.Remove(resource.Name);
            }
        }

        return refused;
    }
}
