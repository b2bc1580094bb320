using System.Text;
using Weir.Proxy.Exchanges;
using Weir.Proxy.Listeners;
using Weir.Proxy.Reactor;
using Weir.Proxy.Telemetry;
using Weir.Proxy.Tls;

namespace Weir.Proxy.Tests;

public class ClientCertificateHeaderTests
{
    static string Of(string subject, string uri, string name)
    {
        var address = SocketAddressV4.Parse("127.0.0.1", 1);
        var tls = new TlsInfo("", "", "", "", new PeerCertificate(subject, [uri], [name], "ab"));
        var options = new HttpOptions { ForwardsSubject = true, ForwardsUri = true, ForwardsDns = true };
        return Encoding.Latin1.GetString(ClientCertificateHeader.Of(new Downstream(1, address, address, address, "", tls), options));
    }

    [Theory]
    [InlineData("/CN=a", "spiffe://a/ns/b", "a.example", "Hash=ab;Subject=\"/CN=a\";URI=spiffe://a/ns/b;DNS=a.example")]
    [InlineData("/CN=a\"b\\", "spiffe://a", "a", "Hash=ab;Subject=\"/CN=a\\\"b\\\\\";URI=spiffe://a;DNS=a")]
    [InlineData("/CN=a", "spiffe://a;URI=spiffe://b", "a", "Hash=ab;Subject=\"/CN=a\";URI=\"spiffe://a;URI=spiffe://b\";DNS=a")]
    [InlineData("/CN=a", "spiffe://a,Hash=cd", "a", "Hash=ab;Subject=\"/CN=a\";URI=\"spiffe://a,Hash=cd\";DNS=a")]
    [InlineData("/CN=a", "spiffe://a", "a\";Hash=cd", "Hash=ab;Subject=\"/CN=a\";URI=spiffe://a;DNS=\"a\\\";Hash=cd\"")]
    [InlineData("/CN=a", "spiffe://a?b=c", "a\\", "Hash=ab;Subject=\"/CN=a\";URI=\"spiffe://a?b=c\";DNS=\"a\\\\\"")]
    [InlineData("/CN=a\r\nx: y", "spiffe://a\r\nx:y", "a\0", "Hash=ab;Subject=\"/CN=ax: y\";URI=spiffe://ax:y;DNS=a")]
    public void No_name_of_a_certificate_reaches_beyond_its_value(string subject, string uri, string name, string header) =>
        Assert.Equal(header, Of(subject, uri, name));
}
