using System.Threading.Channels;

namespace Weir.App.ControlPlane;

/// <summary>
/// Tells when a file has changed. Writing a file is several events, so it waits until there have been none for a moment, but not for
/// long, so that a file that changes all the time is read all the same.
/// </summary>
sealed class FileChanges : IDisposable
{
    static readonly TimeSpan Quiet = TimeSpan.FromMilliseconds(10);
    static readonly TimeSpan Longest = TimeSpan.FromMilliseconds(100);

    // One signal is as good as many: who takes it reads the file as it is then.
    readonly Channel<bool> changes = Channel.CreateBounded<bool>(new BoundedChannelOptions(1) { FullMode = BoundedChannelFullMode.DropWrite });
    readonly FileSystemWatcher watcher;
    readonly TimeProvider time;

    FileChanges(string file, TimeProvider time)
    {
        this.time = time;
        watcher = new FileSystemWatcher(Path.GetDirectoryName(file)!, Path.GetFileName(file));
        watcher.Changed += (_, _) => Signal();
        watcher.Created += (_, _) => Signal();
        watcher.Renamed += (_, _) => Signal();

        // The kernel could not keep up, so something was missed.
        watcher.Error += (_, _) => Signal();
        watcher.EnableRaisingEvents = true;
    }

    /// <summary>What changes after this returns is noticed.</summary>
    public static FileChanges Watch(string file, TimeProvider time) =>
        Directory.Exists(Path.GetDirectoryName(file)) ? new FileChanges(file, time) : throw new IOException($"there is no file {file}");

    /// <summary>Completes when the file has changed since it last did.</summary>
    public async Task NextAsync(CancellationToken cancel)
    {
        await changes.Reader.WaitToReadAsync(cancel);
        var began = time.GetTimestamp();
        do
        {
            changes.Reader.TryRead(out _);
            await Task.Delay(Quiet, time, cancel);
        }
        while (changes.Reader.Count > 0 && time.GetElapsedTime(began) < Longest);

        changes.Reader.TryRead(out _);
    }

    void Signal() => changes.Writer.TryWrite(true);

    public void Dispose() => watcher.Dispose();
}
