using System.Net;
using System.Text.Json.Nodes;
using Weir.Resources;

namespace Weir.Client;

public enum WriteOutcome
{
    Done,
    NotFound,

    /// <summary>The resource version given is no longer the current one.</summary>
    Conflict,
    AlreadyExists,

    /// <summary>The server refused the content; the message lists every violation.</summary>
    Invalid,
    Failed,
}

/// <summary>What a write came to: the stored object, or the server's <c>Status</c> and why.</summary>
public sealed record WriteResult(WriteOutcome Outcome, Resource? Resource, JsonObject? Status)
{
    public bool IsDone => Outcome == WriteOutcome.Done;

    public string Message => Status.Text("message") ?? "";

    /// <summary>For callers to whom a refusal is a bug or a reason to try again later.</summary>
    public Resource OrThrow() => IsDone ? Resource! : throw new KubeApiException($"{Outcome}: {Message}");

    internal static WriteResult From(HttpStatusCode code, JsonObject body) => code switch
    {
        _ when (int)code is >= 200 and < 300 => new WriteResult(WriteOutcome.Done, new Resource(body), null),
        HttpStatusCode.NotFound => new WriteResult(WriteOutcome.NotFound, null, body),
        HttpStatusCode.Conflict => new WriteResult(
            body.Text("reason") == "AlreadyExists" ? WriteOutcome.AlreadyExists : WriteOutcome.Conflict, null, body),
        HttpStatusCode.UnprocessableEntity or HttpStatusCode.BadRequest => new WriteResult(WriteOutcome.Invalid, null, body),
        _ => new WriteResult(WriteOutcome.Failed, null, body),
    };
}

/// <summary>An answer of the API server that the caller did not provide for.</summary>
public sealed class KubeApiException(string message) : Exception(message);
