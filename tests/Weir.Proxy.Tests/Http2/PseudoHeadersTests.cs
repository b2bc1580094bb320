using System.Text;
using Weir.Proxy.Http;
using Weir.Proxy.Http2;

namespace Weir.Proxy.Tests.Http2;

public class PseudoHeadersTests
{
    const string Get = ":method=GET|:scheme=https|:path=/|:authority=a";

    /// <summary>Fields as "name=value", with a bar between them.</summary>
    static HeadError Read(string fields, out PseudoHeaders head, out byte[] block)
    {
        block = Encoding.Latin1.GetBytes(fields);
        head = new PseudoHeaders();
        var at = 0;
        foreach (var field in fields.Split('|', StringSplitOptions.RemoveEmptyEntries))
        {
            var name = field[..field.IndexOf('=')];
            var value = new Slice(at + name.Length + 1, field.Length - name.Length - 1);
            var error = head.Add(HeaderFieldRules.Classify(Encoding.Latin1.GetBytes(name), value.Of(block)), value);
            if (error != HeadError.None)
            {
                return error;
            }

            at += field.Length + 1;
        }

        return HeadError.None;
    }

    [Theory]
    [InlineData(Get, HeadError.None)]
    [InlineData(Get + "|x=y|host=A", HeadError.None)]
    [InlineData(":method=GET|:scheme=https|:path=/|host=a", HeadError.None)]
    [InlineData(":method=OPTIONS|:scheme=https|:path=*|:authority=a", HeadError.None)]
    [InlineData(":method=CONNECT|:authority=a:443", HeadError.None)]
    [InlineData(":method=CONNECT|:protocol=websocket|:scheme=https|:path=/|:authority=a", HeadError.None)]
    [InlineData("", HeadError.MissingPseudoHeader)]
    [InlineData(":scheme=https|:path=/|:authority=a", HeadError.MissingPseudoHeader)]
    [InlineData(":method=GET|:path=/|:authority=a", HeadError.MissingPseudoHeader)]
    [InlineData(":method=GET|:scheme=https|:authority=a", HeadError.MissingPseudoHeader)]
    [InlineData(":method=GET|:scheme=https|:path=|:authority=a", HeadError.MalformedField)]
    [InlineData(":method=GET|:scheme=https|:path=/", HeadError.MissingAuthority)]
    [InlineData(":method=GET|:scheme=https|:path=*|:authority=a", HeadError.BadPath)]
    [InlineData(Get + "|:method=GET", HeadError.DuplicateField)]
    [InlineData(Get + "|:path=/", HeadError.DuplicateField)]
    [InlineData(Get + "|:scheme=https", HeadError.DuplicateField)]
    [InlineData(Get + "|:authority=a", HeadError.DuplicateField)]
    [InlineData(Get + "|host=a|host=a", HeadError.DuplicateField)]
    [InlineData(Get + "|content-length=1|content-length=1", HeadError.DuplicateField)]
    [InlineData(Get + "|host=b", HeadError.AuthorityMismatch)]
    [InlineData(Get + "|:status=200", HeadError.UnexpectedPseudoHeader)]
    [InlineData(Get + "|:foo=bar", HeadError.MalformedField)]
    [InlineData(Get + "|connection=close", HeadError.MalformedField)]
    [InlineData(":method=GET|x=y|:scheme=https|:path=/|:authority=a", HeadError.PseudoHeaderAfterField)]
    [InlineData(":method=GET|:scheme=https|:path=/|host=a|:authority=a", HeadError.PseudoHeaderAfterField)]
    [InlineData(":method=GET|:scheme=https|:path=/|content-length=1|:authority=a", HeadError.PseudoHeaderAfterField)]
    [InlineData(":method=CONNECT", HeadError.MissingPseudoHeader)]
    [InlineData(":method=CONNECT|host=a:443", HeadError.MissingPseudoHeader)]
    [InlineData(":method=CONNECT|:authority=a:443|:scheme=https", HeadError.UnexpectedPseudoHeader)]
    [InlineData(":method=CONNECT|:authority=a:443|:path=/", HeadError.UnexpectedPseudoHeader)]
    [InlineData(":method=CONNECT|:protocol=websocket|:authority=a", HeadError.MissingPseudoHeader)]
    [InlineData(":method=CONNECT|:protocol=websocket|:scheme=https|:path=/", HeadError.MissingAuthority)]
    [InlineData(":method=CONNECT|:protocol=websocket|:scheme=https|:path=*|:authority=a", HeadError.BadPath)]
    [InlineData(Get + "|:protocol=websocket", HeadError.UnexpectedProtocol)]
    public void A_request_gets_its_verdict(string fields, HeadError expected)
    {
        var error = Read(fields, out var head, out var block);
        Assert.Equal(expected, error == HeadError.None ? head.CheckRequest(block, allowsExtendedConnect: true) : error);
    }

    [Fact]
    public void Extended_CONNECT_has_to_be_allowed()
    {
        Read(":method=CONNECT|:protocol=websocket|:scheme=https|:path=/|:authority=a", out var head, out var block);
        Assert.Equal(HeadError.UnexpectedProtocol, head.CheckRequest(block, allowsExtendedConnect: false));
    }

    [Theory]
    [InlineData(":status=200", HeadError.None)]
    [InlineData(":status=200|x=y|host=a", HeadError.None)]
    [InlineData("", HeadError.MissingPseudoHeader)]
    [InlineData("x=y", HeadError.MissingPseudoHeader)]
    [InlineData("x=y|:status=200", HeadError.PseudoHeaderAfterField)]
    [InlineData(":status=200|:status=200", HeadError.DuplicateField)]
    [InlineData(":status=200|:method=GET", HeadError.UnexpectedPseudoHeader)]
    [InlineData(":status=200|:path=/", HeadError.UnexpectedPseudoHeader)]
    [InlineData(":status=101", HeadError.MalformedField)]
    public void A_response_gets_its_verdict(string fields, HeadError expected)
    {
        var error = Read(fields, out var head, out _);
        Assert.Equal(expected, error == HeadError.None ? head.CheckResponse() : error);
    }

    [Theory]
    [InlineData("", HeadError.None)]
    [InlineData("grpc-status=0", HeadError.None)]
    [InlineData(":status=200", HeadError.UnexpectedPseudoHeader)]
    [InlineData(":path=/", HeadError.UnexpectedPseudoHeader)]
    [InlineData("x=y|:status=200", HeadError.PseudoHeaderAfterField)]
    [InlineData("te=gzip", HeadError.MalformedField)]
    public void Trailers_get_their_verdict(string fields, HeadError expected)
    {
        var error = Read(fields, out var head, out _);
        Assert.Equal(expected, error == HeadError.None ? head.CheckTrailers() : error);
    }

    [Fact]
    public void What_was_read_is_kept_as_slices()
    {
        Assert.Equal(HeadError.None, Read(":method=PUT|:scheme=http|:path=/p|host=h|content-length=12", out var head, out var block));
        Assert.Equal(("PUT", "/p", "h", "12"), (Text(head.Method), Text(head.Path), Text(head.Authority), Text(head.ContentLength)));
        Assert.False(head.Has(FieldKind.Authority));
        Read(":status=418", out head, out var response);
        Assert.Equal(418, head.StatusCode(response));

        string Text(Slice slice) => Encoding.Latin1.GetString(slice.Of(block));
    }
}
