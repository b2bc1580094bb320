using Weir.Resources;

namespace Weir.ApiServer.Requests;

public sealed record LogOptions(bool Follow, int? TailLines, long? LimitBytes, bool Previous);

/// <summary>What a kubelet serves: the logs of a pod's containers and commands run in them.</summary>
public interface IPodAccess
{
    /// <returns>Null once the log has been written, or why it cannot be read.</returns>
    Task<ApiStatus?> WriteLogAsync(Resource pod, string container, LogOptions options, Stream output, CancellationToken cancel);

    /// <returns>The exit code of the command.</returns>
    Task<int> ExecAsync(
        Resource pod, string container, IReadOnlyList<string> command, Stream? input, Stream output, Stream error, CancellationToken cancel);
}
