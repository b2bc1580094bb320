namespace Weir.Proxy.Http2;

/// <summary>
/// Counts the frames that a peer has made us send and has not read: those before a mark, which are taken to leave together when it is
/// passed, and those after it. At most twice as many as there are in truth.
/// </summary>
struct ControlFrames
{
    int older;
    int newer;

    /// <summary>Bytes that are to be written until the older ones have left.</summary>
    int mark;

    public readonly int Count => older + newer;

    public int Add()
    {
        newer++;
        return Count;
    }

    /// <param name="pending">Bytes that are still to be written.</param>
    public void OnSent(int sent, int pending)
    {
        mark -= sent;
        if (mark <= 0)
        {
            (older, newer, mark) = (pending == 0 ? 0 : newer, 0, pending);
        }
    }
}
