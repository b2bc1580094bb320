using System.Net.Sockets;
using Weir.Proxy.Telemetry;

namespace Weir.Proxy.Tests;

public class FailureTests
{
    public static TheoryData<Exception, string> Failures => new()
    {
        { new FileNotFoundException("IO_FileNotFound_FileName, /a"), "there is no such file or directory" },
        { new UnauthorizedAccessException("UnauthorizedAccess_IODenied_Path, /a"), "permission denied" },
        { new IOException("net_io_readfailure, x", new SocketException(10054)), "the connection was reset" },
        { new SocketException(10061), "connection refused" },
        { new IOException("IO_UnknownError", 28), "no space is left on the device" },
        { new IOException("handover: nobody is there"), "handover: nobody is there" },
        { new FormatException("Format_InvalidStringWithValue, x"), "a value has the wrong form" },
        { new FormatException("--drain must be 0 to 3600"), "--drain must be 0 to 3600" },
        { new InvalidOperationException("Arg_KeyNotFoundWithKey, x", new TimeoutException()), "it took too long" },
        { new InvalidDataException("GenericInvalidData"), "the data is not valid" },
    };

    [Theory]
    [MemberData(nameof(Failures))]
    public void Keys_of_resources_become_words(Exception failure, string words) => Assert.Equal(words, Failure.Describe(failure));
}
