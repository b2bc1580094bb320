using System.Globalization;
using System.Text.Json;
using System.Text.Json.Nodes;
using Microsoft.AspNetCore.Http;
using Weir.ApiServer.Storage;
using Weir.Resources;

namespace Weir.ApiServer.Requests;

/// <summary>Streams changes as one JSON object a line, filtered by selectors, with bookmarks so that clients can resume.</summary>
sealed class WatchHandler(ResourceRegistry registry)
{
    static readonly TimeSpan BookmarkInterval = TimeSpan.FromSeconds(30);
    static readonly TimeSpan MaximumDuration = TimeSpan.FromMinutes(55);

    public async Task HandleAsync(HttpContext context, ApiPath path, ListRequest list)
    {
        var prefix = ResourceRegistry.PrefixOf(path.Kind, path.Namespace);
        var initial = list.ResourceVersion is "" or "0" ? registry.Store.List(prefix) : null;
        if (!long.TryParse(initial is null ? list.ResourceVersion : initial.Revision.ToString(CultureInfo.InvariantCulture), out var after))
        {
            await ApiHandler.WriteStatusAsync(context, ApiStatus.BadRequest($"invalid resource version \"{list.ResourceVersion}\""));
            return;
        }

        using var watch = registry.Store.Watch(prefix, after);
        if (watch is null)
        {
            await ApiHandler.WriteStatusAsync(context, ApiStatus.Expired());
            return;
        }

        context.Response.ContentType = "application/json";
        await context.Response.StartAsync(context.RequestAborted);
        await context.Response.Body.FlushAsync(context.RequestAborted);
        var writer = new EventWriter(context, path, list, registry.Time);
        foreach (var item in initial?.Items ?? [])
        {
            if (list.Matches(item.Resource))
            {
                await writer.WriteAsync("ADDED", item.Resource);
            }
        }

        using var deadline = new CancellationTokenSource(list.Timeout ?? MaximumDuration, registry.Time);
        using var ended = CancellationTokenSource.CreateLinkedTokenSource(deadline.Token, context.RequestAborted);
        try
        {
            await PumpAsync(watch, writer, list, ended.Token);
        }
        catch (OperationCanceledException) when (ended.IsCancellationRequested)
        {
            // The watch has lasted as long as it was asked to, or the client has gone.
        }
    }

    async Task PumpAsync(StoreWatch watch, EventWriter writer, ListRequest list, CancellationToken cancel)
    {
        while (true)
        {
            using var pause = CancellationTokenSource.CreateLinkedTokenSource(cancel);
            using var timer = registry.Time.CreateTimer(_ => pause.Cancel(), null, BookmarkInterval, Timeout.InfiniteTimeSpan);
            try
            {
                if (!await watch.Events.WaitToReadAsync(pause.Token))
                {
                    await writer.WriteErrorAsync(ApiStatus.Expired());
                    return;
                }
            }
            catch (OperationCanceledException) when (!cancel.IsCancellationRequested)
            {
                if (list.AllowBookmarks)
                {
                    await writer.WriteBookmarkAsync(registry.Store.Revision);
                }

                continue;
            }

            while (watch.Events.TryRead(out var change))
            {
                await WriteChangeAsync(writer, change, list);
            }

            await writer.FlushAsync();
        }
    }

    /// <summary>An object that leaves a selector is deleted for its watcher, one that enters is added.</summary>
    static ValueTask WriteChangeAsync(EventWriter writer, StoreEvent change, ListRequest list)
    {
        var was = change.Before is not null && list.Matches(change.Before.Resource);
        var isNow = change.Now is not null && list.Matches(change.Now.Resource);
        return (was, isNow) switch
        {
            (false, true) => writer.WriteAsync("ADDED", change.Now!.Resource),
            (true, true) => writer.WriteAsync("MODIFIED", change.Now!.Resource),
            (true, false) => writer.WriteAsync("DELETED", change.Now?.Parse(change.Revision) ?? change.Before!.Parse(change.Revision)),
            _ => ValueTask.CompletedTask,
        };
    }

    sealed class EventWriter(HttpContext context, ApiPath path, ListRequest list, TimeProvider time)
    {
        bool isFirst = true;

        public ValueTask WriteAsync(string type, Resource resource)
        {
            JsonObject shown;
            if (list.AsTable)
            {
                shown = TableWriter.Write(path.Kind, path.Version, [resource], resource.ResourceVersion, list.IncludeObject, time.GetUtcNow(), isFirst);
                isFirst = false;
            }
            else
            {
                shown = ApiHandler.Shown(path, resource);
            }

            return WriteLineAsync(type, shown);
        }

        public ValueTask WriteErrorAsync(ApiStatus status) => WriteLineAsync("ERROR", status.ToJson());

        public async ValueTask WriteBookmarkAsync(long revision)
        {
            await WriteLineAsync("BOOKMARK", new JsonObject
            {
                ["apiVersion"] = path.Kind.ApiVersion(path.Version),
                ["kind"] = path.Kind.Kind,
                ["metadata"] = new JsonObject { ["resourceVersion"] = revision.ToString(CultureInfo.InvariantCulture) },
            });
            await FlushAsync();
        }

        public Task FlushAsync() => context.Response.Body.FlushAsync(context.RequestAborted);

        ValueTask WriteLineAsync(string type, JsonObject shown)
        {
            var line = JsonSerializer.SerializeToUtf8Bytes(new JsonObject { ["type"] = type, ["object"] = shown }, Resource.JsonOptions);
            return context.Response.Body.WriteAsync((byte[])[.. line, (byte)'\n'], context.RequestAborted);
        }
    }
}
