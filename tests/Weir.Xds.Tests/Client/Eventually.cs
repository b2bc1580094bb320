namespace Weir.Xds.Tests.Client;

/// <summary>State that several tasks change, and that a test waits for: each change wakes whoever waits.</summary>
class Eventually
{
    static readonly TimeSpan Limit = TimeSpan.FromSeconds(30);

    TaskCompletionSource changed = new(TaskCreationOptions.RunContinuationsAsynchronously);

    protected Lock Gate { get; } = new();

    /// <summary>Makes a change and wakes those who wait for one.</summary>
    protected void Change(Action change)
    {
        TaskCompletionSource before;
        lock (Gate)
        {
            change();
            before = changed;
            changed = new(TaskCreationOptions.RunContinuationsAsynchronously);
        }

        before.SetResult();
    }

    protected async Task UntilAsync(Func<bool> condition, Func<string> state)
    {
        while (true)
        {
            Task next;
            lock (Gate)
            {
                if (condition())
                {
                    return;
                }

                next = changed.Task;
            }

            try
            {
                await next.WaitAsync(Limit);
            }
            catch (TimeoutException)
            {
                Assert.Fail(state());
            }
        }
    }
}

/// <summary>What a client has logged.</summary>
sealed class TestLog : Eventually
{
    readonly List<string> lines = [];

    public void Write(string line) => Change(() => lines.Add(line));

    public IReadOnlyList<string> Lines
    {
        get
        {
            lock (Gate)
            {
                return [.. lines];
            }
        }
    }

    public Task HasAsync(string part, int times = 1) => UntilAsync(
        () => lines.Count(l => l.Contains(part, StringComparison.Ordinal)) >= times, () => $"\"{part}\" is not in the log: {string.Join('\n', lines)}");
}
