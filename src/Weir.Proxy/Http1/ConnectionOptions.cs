using Weir.Proxy.Http;

namespace Weir.Proxy.Http1;

/// <summary>What the Connection headers of a message say, and the headers that they name as meant for this hop alone (RFC 9110 section 7.6.1).</summary>
struct ConnectionOptions
{
    /// <summary>Each is looked for among all headers: without a bound a head would cost its options times its headers.</summary>
    public const int MaximumNamed = 32;

    int named;

    public bool Closes { get; private set; }

    public bool KeepsAlive { get; private set; }

    public bool Upgrades { get; private set; }

    /// <returns>False if they name too many headers.</returns>
    public bool Read(ReadOnlySpan<byte> buffer, ReadOnlySpan<byte> value, HeaderList headers)
    {
        while (!value.IsEmpty)
        {
            var comma = value.IndexOf((byte)',');
            var option = Ascii.Trim(comma < 0 ? value : value[..comma]);
            value = comma < 0 ? default : value[(comma + 1)..];
            if (Ascii.EqualsLower(option, "close"u8))
            {
                Closes = true;
            }
            else if (Ascii.EqualsLower(option, "keep-alive"u8))
            {
                KeepsAlive = true;
            }
            else if (Ascii.EqualsLower(option, "upgrade"u8))
            {
                Upgrades = true;
            }
            else if (!option.IsEmpty)
            {
                if (++named > MaximumNamed)
                {
                    return false;
                }

                Mark(buffer, option, headers);
            }
        }

        return true;
    }

    /// <summary>Framing and routing headers cannot be talked away by naming them.</summary>
    static void Mark(ReadOnlySpan<byte> buffer, ReadOnlySpan<byte> option, HeaderList headers)
    {
        for (var i = 0; i < headers.Count; i++)
        {
            if (headers[i].Known == KnownHeader.Other && headers[i].Name.Length == option.Length
                && System.Text.Ascii.EqualsIgnoreCase(headers[i].Name.Of(buffer), option))
            {
                headers.MarkNamed(i);
            }
        }
    }
}
