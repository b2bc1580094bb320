using System.Text;
using Weir.Proxy.Http2;

namespace Weir.Proxy.Tests.Http2;

/// <summary>What holds for any list of fields and any bytes. A failure names the seed that repeats it.</summary>
public class HpackPropertyTests
{
    static readonly TimeSpan Duration = TimeSpan.FromSeconds(
        double.TryParse(Environment.GetEnvironmentVariable("WEIR_FUZZ_SECONDS"), System.Globalization.CultureInfo.InvariantCulture, out var seconds) ? seconds : 2);

    static readonly string[] Names =
    [
        ":method", ":path", ":authority", ":status", "content-length", "cookie", "set-cookie", "authorization", "user-agent", "x-request-id",
        "X-Mixed-Case", "grpc-timeout", "a", "accept-encoding", "date", "x-" + new string('n', 150), "X-" + new string('N', 150),
    ];

    static readonly string[] Values = ["", "GET", "/", "200", "gzip, deflate", "a", "example.com:8080", new string('v', 60), new string('w', 1500)];

    static void Run(Action<Random> check)
    {
        var watch = System.Diagnostics.Stopwatch.StartNew();
        var first = Environment.TickCount;
        for (var i = 0; watch.Elapsed < Duration; i++)
        {
            var seed = unchecked((first * 31) + i);
            try
            {
                check(new Random(seed));
            }
            catch (Exception e)
            {
                throw new InvalidOperationException($"seed {seed}: {e.Message}", e);
            }
        }
    }

    static (byte[] Name, byte[] Value) RandomField(Random random)
    {
        var name = random.Next(5) == 0 ? $"x-{random.Next(200)}" : Names[random.Next(Names.Length)];
        if (random.Next(3) > 0)
        {
            return (Encoding.ASCII.GetBytes(name), Encoding.ASCII.GetBytes(random.Next(4) == 0 ? $"v{random.Next(30)}" : Values[random.Next(Values.Length)]));
        }

        var value = new byte[random.Next(80)];
        random.NextBytes(value);
        return (Encoding.ASCII.GetBytes(name), value);
    }

    static string Expect(byte[] name, byte[] value) => $"{Encoding.Latin1.GetString(name).ToLowerInvariant()}: {Encoding.Latin1.GetString(value)}";

    [Fact]
    public void What_was_encoded_is_decoded_and_both_tables_stay_equal() => Run(random =>
    {
        var most = random.Next(3) switch { 0 => 4096, 1 => 256, _ => 16 * 1024 };
        var encoder = new HpackEncoder(random.Next(2) == 0 ? most : 4096, random.Next(4) > 0);
        var decoder = new HpackDecoder(most);
        var target = new byte[64 * 1024];
        for (var block = 0; block < 30; block++)
        {
            for (var changes = random.Next(5) == 0 ? random.Next(1, 4) : 0; changes > 0; changes--)
            {
                var limit = random.Next(4) == 0 ? 0 : random.Next(most + 1);
                encoder.SetMaximumTableSize((uint)limit);
                decoder.SetLimit(limit);
            }

            var expected = new List<string>();
            var length = 0;
            for (var fields = random.Next(1, 15); fields > 0; fields--)
            {
                var (name, value) = RandomField(random);
                var never = random.Next(10) == 0;
                while (random.Next(4) == 0)
                {
                    // Too little room now and then: nothing may come of it.
                    if (encoder.TryWrite(name, value, target.AsSpan(length, random.Next(20)), out var early, never))
                    {
                        expected.Add(Expect(name, value));
                        length += early;
                    }
                }

                Assert.True(encoder.TryWrite(name, value, target.AsSpan(length), out var written, never));
                expected.Add(Expect(name, value));
                length += written;
            }

            if (random.Next(4) == 0)
            {
                var at = 0;
                Assert.True(decoder.TrySkipRest(target.AsSpan(0, length), ref at));
            }
            else
            {
                Assert.Equal(expected, HpackText.Decode(decoder, target.AsSpan(0, length)).Select(f => f.EndsWith(" (never)", StringComparison.Ordinal) ? f[..^8] : f));
            }

            Assert.Equal(HpackText.Entries(encoder.Table), HpackText.Entries(decoder.Table));
            Assert.Equal(encoder.Table.Size, decoder.Table.Size);
            Assert.InRange(decoder.Table.Size, 0, decoder.Table.MaximumSize);
        }
    });

    [Fact]
    public void Any_bytes_are_read_or_refused_within_bounds_and_skipping_keeps_the_same_table() => Run(random =>
    {
        var reading = new HpackDecoder();
        var skipping = new HpackDecoder();
        var target = new byte[random.Next(3) == 0 ? random.Next(200) : 32 * 1024];
        for (var n = 0; n < 20; n++)
        {
            var block = RandomBlock(random);
            var end = ReadAll(reading, block, target);
            var at = 0;
            Assert.Equal(end == HpackResult.End, skipping.TrySkipRest(block, ref at));
            Assert.Equal(HpackText.Entries(reading.Table), HpackText.Entries(skipping.Table));
            Assert.InRange(reading.Table.Size, 0, reading.Table.MaximumSize);
            Assert.InRange(reading.Table.Footprint, 0, 10 * 1024);
            if (end == HpackResult.Malformed)
            {
                return;
            }
        }
    });

    /// <summary>Reads what fits and skips the rest; each step has to go forward.</summary>
    static HpackResult ReadAll(HpackDecoder decoder, byte[] block, byte[] target)
    {
        var at = 0;
        for (var steps = 0; ; steps++)
        {
            Assert.InRange(steps, 0, block.Length + 1);
            var before = at;
            var result = decoder.TryRead(block, ref at, target, out var field);
            Assert.InRange(field.Length, 0, target.Length);
            if (result == HpackResult.TargetTooSmall)
            {
                result = decoder.Skip(block, ref at);
            }

            if (result is HpackResult.End or HpackResult.Malformed)
            {
                return result;
            }

            Assert.InRange(at, before + 1, block.Length);
        }
    }

    /// <summary>Fields of an encoder, mutated or not, or noise.</summary>
    static byte[] RandomBlock(Random random)
    {
        var bytes = new byte[random.Next(1, 60)];
        random.NextBytes(bytes);
        if (random.Next(3) == 0)
        {
            return bytes;
        }

        var encoder = new HpackEncoder();
        var target = new byte[16 * 1024];
        var length = 0;
        for (var fields = random.Next(1, 8); fields > 0; fields--)
        {
            var (name, value) = RandomField(random);
            Assert.True(encoder.TryWrite(name, value, random.Next(2) == 0 ? HpackIndexing.Incremental : null, target.AsSpan(length), out var written));
            length += written;
        }

        for (var mutations = random.Next(3); mutations > 0; mutations--)
        {
            target[random.Next(length)] ^= (byte)(1 << random.Next(8));
        }

        return target[..random.Next(length / 2, length + 1)];
    }

    [Fact]
    public void Nothing_is_allocated_in_steady_state()
    {
        var encoder = new HpackEncoder();
        var decoder = new HpackDecoder();
        var block = new byte[2048];
        var target = new byte[2048];
        var name = "x-request-id"u8.ToArray();
        var id = new byte[36];
        var random = new Random(3);

        // Not by assertions, which allocate.
        var isRight = true;

        void Request()
        {
            random.NextBytes(id);
            var length = 0;
            void Add(ReadOnlySpan<byte> fieldName, ReadOnlySpan<byte> value)
            {
                isRight &= encoder.TryWrite(fieldName, value, block.AsSpan(length), out var written);
                length += written;
            }

            Add(":method"u8, "GET"u8);
            Add(":path"u8, "/orders?page=3"u8);
            Add(":authority"u8, "shop.example"u8);
            Add("User-Agent"u8, "curl/8.0"u8);
            Add("Authorization"u8, "Bearer abcdefghijkl"u8);
            Add(name, id);

            // Inserted again and again, so that entries are evicted and the table's block is compacted.
            isRight &= encoder.TryWrite(name, id, HpackIndexing.Incremental, block.AsSpan(length), out var last);
            length += last;
            var at = 0;
            while (decoder.TryRead(block.AsSpan(0, length), ref at, target, out _) == HpackResult.Field)
            {
            }

            isRight &= length == at;
            at = 0;
            isRight &= decoder.TrySkipRest([0x82, 0x04, 0x81, 0x63, 0x41, 0x01, 0x61], ref at);
        }

        for (var i = 0; i < 1000; i++)
        {
            Request();
        }

        var before = GC.GetAllocatedBytesForCurrentThread();
        for (var i = 0; i < 1000; i++)
        {
            Request();
        }

        Assert.Equal(0, GC.GetAllocatedBytesForCurrentThread() - before);
        Assert.True(isRight);
    }
}
