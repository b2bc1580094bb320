using System.Globalization;
using System.Text;

namespace Weir.Proxy.Simulation;

/// <summary>A head, read by rules of its own, so that what the proxy thinks of heads is not judged by itself.</summary>
sealed record Head(string StartLine, List<(string Name, string Value)> Fields)
{
    public static Head Parse(ReadOnlySpan<byte> bytes)
    {
        var lines = Encoding.Latin1.GetString(bytes).Split("\r\n");
        var fields = new List<(string, string)>();
        foreach (var line in lines.AsSpan()[1..^2])
        {
            var colon = line.IndexOf(':', StringComparison.Ordinal);
            if (colon <= 0 || line.AsSpan().IndexOfAny('\r', '\n', '\0') >= 0 || line[..colon].Contains(' ', StringComparison.Ordinal))
            {
                throw new InvariantException($"the proxy sent a malformed field: {line}");
            }

            fields.Add((line[..colon].ToLowerInvariant(), line[(colon + 1)..].Trim()));
        }

        return new Head(lines[0], fields);
    }

    /// <summary>The one value of a field; null when it is missing.</summary>
    public string? Get(string name)
    {
        string? found = null;
        foreach (var (known, value) in Fields)
        {
            if (known == name)
            {
                found = found is null ? value : throw new InvariantException($"the proxy sent {name} twice: {found} and {value}");
            }
        }

        return found;
    }

    /// <summary>How long the content is that its fields announce: -1 for chunked, -2 when they say nothing.</summary>
    public int Announced()
    {
        var (length, coding) = (Get("content-length"), Get("transfer-encoding"));
        if (length is not null && coding is not null)
        {
            throw new InvariantException("the proxy sent two framings at once");
        }

        return coding is null ? length is null ? -2 : int.Parse(length, NumberStyles.None, CultureInfo.InvariantCulture)
            : coding == "chunked" ? -1 : throw new InvariantException($"the proxy sent transfer-encoding: {coding}");
    }
}

/// <summary>
/// Reads the messages that the proxy writes to one connection as they are written. Whatever is out of place is found at the byte where
/// it is.
/// </summary>
abstract class MessageTap : IWireTap
{
    protected enum Place
    {
        Head,
        Length,
        ChunkSize,
        Chunk,
        ChunkEnd,
        Trailers,
        UntilClose,

        /// <summary>The proxy has ended, or there is no telling any more.</summary>
        Over,
    }

    readonly List<byte> line = [];
    Place place;
    int left;

    /// <summary>Bytes written so far.</summary>
    protected long Position { get; private set; }

    public bool IsAtBoundary => place == Place.Head && line.Count == 0;

    public bool IsOver => place == Place.Over;

    protected bool IsUntilClose => place == Place.UntilClose;

    public void OnWritten(ReadOnlySpan<byte> bytes)
    {
        while (!bytes.IsEmpty)
        {
            switch (place)
            {
                case Place.Length or Place.Chunk:
                    var count = Math.Min(left, bytes.Length);
                    Content(bytes[..count]);
                    Position += count;
                    bytes = bytes[count..];
                    left -= count;
                    if (left == 0)
                    {
                        Ended(place == Place.Chunk);
                    }

                    break;
                case Place.UntilClose:
                    Content(bytes);
                    Position += bytes.Length;
                    return;
                case Place.Over:
                    throw new InvariantException("the proxy wrote after its end");
                default:
                    line.Add(bytes[0]);
                    Position++;
                    bytes = bytes[1..];
                    OnLineByte();
                    break;
            }
        }
    }

    void Ended(bool isChunk)
    {
        place = isChunk ? Place.ChunkEnd : Place.Head;
        if (!isChunk)
        {
            End();
        }
    }

    void OnLineByte()
    {
        var bytes = System.Runtime.InteropServices.CollectionsMarshal.AsSpan(line);
        switch (place)
        {
            case Place.Head when bytes.EndsWith("\r\n\r\n"u8):
                var head = Head.Parse(bytes);
                line.Clear();
                Begin(head);
                break;
            case Place.Head:
                CheckHeadStart(bytes);
                break;
            case Place.ChunkSize when bytes.EndsWith("\r\n"u8):
                left = int.Parse(Encoding.ASCII.GetString(bytes[..^2]), NumberStyles.AllowHexSpecifier, CultureInfo.InvariantCulture);
                line.Clear();
                place = left == 0 ? Place.Trailers : Place.Chunk;
                break;
            case Place.ChunkSize when bytes.Length > 12:
                throw new InvariantException($"the proxy sent as a chunk's size: {Encoding.Latin1.GetString(bytes)}");
            case Place.ChunkEnd when bytes.Length == 2:
                place = bytes.SequenceEqual("\r\n"u8) ? Place.ChunkSize : throw new InvariantException("a chunk of the proxy does not end where it should");
                line.Clear();
                break;
            case Place.Trailers when bytes.SequenceEqual("\r\n"u8) || bytes.EndsWith("\r\n\r\n"u8):
                if (bytes.Length > 2)
                {
                    Trailers(Head.Parse([.. "\r\n"u8, .. bytes]));
                }

                line.Clear();
                Ended(isChunk: false);
                break;
        }
    }

    /// <param name="length">As <see cref="Head.Announced"/>.</param>
    protected void Expect(int length)
    {
        place = length switch { -2 => Place.UntilClose, -1 => Place.ChunkSize, 0 => Place.Head, _ => Place.Length };
        left = Math.Max(length, 0);
        if (length == 0)
        {
            End();
        }
    }

    /// <summary>Another message follows at once, without content of this one.</summary>
    protected void ExpectHead() => place = Place.Head;

    public void OnEnd()
    {
        var wasUntilClose = place == Place.UntilClose;
        place = Place.Over;
        if (wasUntilClose)
        {
            End();
        }
    }

    public virtual void OnReset() => place = Place.Over;

    /// <summary>Looks at a head that is not complete.</summary>
    protected abstract void CheckHeadStart(ReadOnlySpan<byte> bytes);

    protected abstract void Begin(Head head);

    protected abstract void Content(ReadOnlySpan<byte> bytes);

    protected abstract void Trailers(Head fields);

    protected abstract void End();
}
