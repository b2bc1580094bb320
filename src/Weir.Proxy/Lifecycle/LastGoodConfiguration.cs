using Microsoft.Win32.SafeHandles;
using Weir.Proxy.Configuration;
using Weir.Proxy.Reactor;
using Weir.Proxy.Telemetry;
using Weir.Xds;

namespace Weir.Proxy.Lifecycle;

/// <summary>
/// The configuration in force, kept in a file, so that a proxy that starts while the control plane is away serves as before. The
/// file holds private keys where SDS brings them: only its owner can read it. A file that cannot be believed, whatever is wrong with it,
/// keeps no proxy from starting: it is named in the log and set aside.
/// </summary>
public sealed class LastGoodConfiguration(string path, ConfigStore store, ProxyLog log, TimeProvider time)
{
    static readonly TimeSpan Quiet = TimeSpan.FromMilliseconds(500);
    const int MaximumBytes = 256 * 1024 * 1024;

    readonly SemaphoreSlim changed = new(0, 1);

    /// <summary>Where a file that was not put in force as it was is found afterwards.</summary>
    public string SetAsidePath => path + ".refused";

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
        while (!cancel.IsCancellationRequested)
        {
            var isChanged = false;
            try
            {
                await changed.WaitAsync(cancel).ConfigureAwait(false);
                isChanged = true;
                await Task.Delay(Quiet, time, cancel).ConfigureAwait(false);
            }
            catch (OperationCanceledException)
            {
                isChanged |= await changed.WaitAsync(0, CancellationToken.None).ConfigureAwait(false);
            }

            if (isChanged)
            {
                Save();
            }
        }
    }

    /// <summary>Replaces the file as a whole: after a crash it is the old one or the new one.</summary>
    public void Save()
    {
        var temporary = path + ".new";
        try
        {
            // One that a crash left would keep whatever rights it has.
            File.Delete(temporary);
            using (var file = new FileStream(temporary, new FileStreamOptions
            {
                Mode = FileMode.CreateNew,
                Access = FileAccess.Write,
                UnixCreateMode = UnixFileMode.UserRead | UnixFileMode.UserWrite,
            }))
            {
                KeptResources.Write(file, store.InForce);
                file.Flush(flushToDisk: true);
            }

            File.Move(temporary, path, overwrite: true);
            FlushDirectory();
        }
        catch (Exception e)
        {
            // Whatever it is: the proxy serves on without it, and the file that was there is still whole.
            log.Warning($"the configuration could not be kept in {path}: {Reason(e)}");
        }
    }

    /// <summary>The new name, too, is to outlive a crash of the machine.</summary>
    void FlushDirectory()
    {
        const int ReadDirectory = 0x10000;
        var descriptor = Native.Open(Path.GetDirectoryName(Path.GetFullPath(path)) ?? "/", ReadDirectory | Native.SockCloseOnExec, 0);
        if (descriptor >= 0)
        {
            using var directory = new SafeFileHandle(descriptor, ownsHandle: true);
            RandomAccess.FlushToDisk(directory);
        }
    }

    /// <summary>Puts the kept configuration in force, if there is one.</summary>
    public void Load()
    {
        try
        {
            if (!File.Exists(path))
            {
                return;
            }

            var size = new FileInfo(path).Length;
            if (size > MaximumBytes)
            {
                SetAside($"{size} bytes are more than {MaximumBytes}");
            }
            else if (KeptResources.TryRead(File.ReadAllBytes(path), out var resources) is { } reason)
            {
                SetAside(reason);
            }
            else
            {
                Apply(resources);
            }
        }
        catch (Exception e)
        {
            // The start goes on, whatever it is.
            SetAside(Reason(e));
        }
    }

    void Apply(IReadOnlyList<(string Type, Xds.Client.ReceivedResource Resource)> resources)
    {
        var refusals = new List<string>();
        foreach (var type in XdsTypes.PushOrder)
        {
            var ofType = resources.Where(r => r.Type == type).Select(r => r.Resource).ToList();
            if (ofType.Count > 0)
            {
                refusals.AddRange(store.Apply(type, ofType, []).Values);
            }
        }

        if (refusals.Count > 0)
        {
            // What is in force now will be written over it.
            File.Copy(path, SetAsidePath, overwrite: true);
            refusals.ForEach(r => log.Warning($"kept configuration: {r}"));
            log.Warning($"the configuration kept in {path} is in force without what was refused; it is also left in {SetAsidePath}");
        }

        log.Info($"{resources.Count - refusals.Count} resources of the last good configuration are in force until the control plane answers");
    }

    void SetAside(string reason)
    {
        var where = "left where it is";
        try
        {
            File.Move(path, SetAsidePath, overwrite: true);
            where = $"set aside as {SetAsidePath}";
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            where += $" ({Reason(e)})";
        }

        log.Warning($"the configuration kept in {path} is not put in force, and {where}: {reason}");
    }

    static string Reason(Exception e) => Failure.Describe(e);
}
