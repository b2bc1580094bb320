using System.Text;
using Envoy.Config.Core.V3;
using Weir.Proxy.Configuration;
using Weir.Proxy.Filters;
using Weir.Proxy.Http1;
using Actions = Envoy.Config.Core.V3.HeaderValueOption.Types.HeaderAppendAction;

namespace Weir.Proxy.Tests;

public class HeaderRulesTests
{
    static HeaderValueOption Option(string name, string value, Actions action = Actions.AppendIfExistsOrAdd) =>
        new() { Header = new HeaderValue { Key = name, Value = value }, AppendAction = action };

    static HeaderRules Translate(params HeaderValueOption[] added) => HeaderRuleTranslator.Translate("r", added, [], [], []);

    static string Added(HeaderRules rules)
    {
        return string.Concat(rules.AddedToRequest.Select(f => $"{Encoding.UTF8.GetString(f.Name)}: {Encoding.UTF8.GetString(f.Value)}\r\n"));
    }

    /// <summary>A second one of these would make two messages of one, or send it to another host.</summary>
    [Theory]
    [InlineData("Host", "host is rewritten by host_rewrite_literal alone")]
    [InlineData(":authority", ":authority is no header, and cannot be changed like one")]
    [InlineData(":path", ":path is no header, and cannot be changed like one")]
    [InlineData("Content-Length", "content-length is the proxy's own to write")]
    [InlineData("transfer-encoding", "transfer-encoding is the proxy's own to write")]
    [InlineData("connection", "connection is the proxy's own to write")]
    [InlineData("keep-alive", "keep-alive is the proxy's own to write")]
    [InlineData("proxy-connection", "proxy-connection is the proxy's own to write")]
    [InlineData("upgrade", "upgrade is the proxy's own to write")]
    [InlineData("te", "te is the proxy's own to write")]
    [InlineData("trailer", "trailer is the proxy's own to write")]
    [InlineData("", "\"\" is no header name")]
    [InlineData("a b", "\"a b\" is no header name")]
    [InlineData("a\r\nb", "is no header name")]
    [InlineData("é", "\"é\" is no header name")]
    public void What_frames_or_routes_a_message_cannot_be_added(string name, string reason)
    {
        foreach (var action in new[] { Actions.AppendIfExistsOrAdd, Actions.OverwriteIfExistsOrAdd })
        {
            Assert.Contains($"r: request_headers_to_add[1].header.key: ", Message(() => Translate(Option("x", "1"), Option(name, "1", action))));
            Assert.Contains(reason, Message(() => HeaderRuleTranslator.Translate("r", [], [], [Option(name, "1", action)], [])));
        }
    }

    [Theory]
    [InlineData("host")]
    [InlineData(":method")]
    [InlineData("content-length")]
    [InlineData("transfer-encoding")]
    [InlineData("Connection")]
    [InlineData("upgrade")]
    public void What_frames_or_routes_a_message_cannot_be_removed(string name)
    {
        Assert.Contains("r: request_headers_to_remove[0]: ", Message(() => HeaderRuleTranslator.Translate("r", [], [name], [], [])));
        Assert.Contains("r: response_headers_to_remove[0]: ", Message(() => HeaderRuleTranslator.Translate("r", [], [], [], [name])));
    }

    [Theory]
    [InlineData("%REQ(x)%", "%REQ(x)% is not supported")]
    [InlineData("a %DOWNSTREAM_REMOTE_ADDRESS% b", "%DOWNSTREAM_REMOTE_ADDRESS% is not supported")]
    [InlineData("%%%UNHEARD_OF%", "%UNHEARD_OF% is not supported")]
    [InlineData("100%", "a percent sign is written %%")]
    [InlineData("5% of", "a percent sign is written %%")]
    [InlineData("%", "a percent sign is written %%")]
    [InlineData("a\nb", "a control character is in it")]
    [InlineData("a\0b", "a control character is in it")]
    public void Values_that_would_go_out_as_they_are_are_refused(string value, string reason) =>
        Assert.Equal($"r: request_headers_to_add[0].header.value: {reason}", Message(() => Translate(Option("x", value))));

    [Theory]
    [InlineData("plain", "x: plain\r\n")]
    [InlineData("100%%", "x: 100%\r\n")]
    [InlineData("%%20 %%%%", "x: %20 %%\r\n")]
    [InlineData("a\tb é", "x: a\tb é\r\n")]
    public void A_doubled_percent_sign_is_one(string value, string expected) => Assert.Equal(expected, Added(Translate(Option("X", value))));

    [Fact]
    public void A_header_without_a_value_is_added_only_if_it_is_to_be_kept()
    {
        Assert.Equal("", Added(Translate(Option("x", ""))));
        Assert.False(Translate(Option("x", "", Actions.OverwriteIfExistsOrAdd)).RemovesFromRequest("x"u8));
        Assert.Equal("x: \r\n", Added(Translate(new HeaderValueOption(Option("x", "")) { KeepEmptyValue = true })));
    }

    [Fact]
    public void Setting_replaces_what_was_there_and_what_was_set_before()
    {
        var rules = Translate(Option("x", "1", Actions.OverwriteIfExistsOrAdd), Option("x", "2", Actions.OverwriteIfExistsOrAdd), Option("x", "3"), Option("y", "4"));

        Assert.True(rules.RemovesFromRequest("X"u8));
        Assert.False(rules.RemovesFromRequest("y"u8));
        Assert.Equal("x: 2\r\nx: 3\r\ny: 4\r\n", Added(rules));
    }

    [Fact]
    public void The_older_field_for_appending_is_understood()
    {
        Assert.True(Translate(new HeaderValueOption(Option("x", "1")) { Append = false }).RemovesFromRequest("x"u8));
        Assert.False(Translate(new HeaderValueOption(Option("x", "1")) { Append = true }).RemovesFromRequest("x"u8));
        Assert.Contains("exclude each other", Message(() => Translate(new HeaderValueOption(Option("x", "1", Actions.OverwriteIfExistsOrAdd)) { Append = true })));
    }

    static string Message(Action action) => Assert.Throws<ConfigException>(action).Message;
}
