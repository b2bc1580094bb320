using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using Weir.Proxy.Reactor;

namespace Weir.Proxy.Tls;

/// <summary>
/// How OpenSSL reads and writes our sockets. Its own socket BIO would neither tell a short read, which saves asking the kernel again,
/// nor keep a closed peer from raising SIGPIPE.
/// </summary>
static unsafe class SocketBio
{
    const int SourceSinkType = 0x0400 | 100;
    const int ShouldRetryRead = 0x1 | 0x8;
    const int ShouldRetryWrite = 0x2 | 0x8;
    const int AllFlags = 0xf;
    const int ControlFlush = 11;

    /// <summary>Kept in native memory, where the callbacks find it without the runtime's help.</summary>
    public struct State
    {
        /// <summary>What reads and writes the descriptor: <see cref="Reactor.Kernel.Handle"/>.</summary>
        public nint Kernel;

        public int Descriptor;

        /// <summary>The last read took all that the kernel had.</summary>
        public int IsDrained;
    }

    static readonly nint Method = CreateMethod();

    public static nint Create(State* state)
    {
        var bio = OpenSsl.BioNew(Method);
        OpenSsl.BioSetData(bio, (nint)state);
        OpenSsl.BioSetInit(bio, 1);
        return bio;
    }

    static nint CreateMethod()
    {
        var method = OpenSsl.BioMethodNew(SourceSinkType, "weir socket");
        _ = OpenSsl.BioMethodSetRead(method, &Read);
        _ = OpenSsl.BioMethodSetWrite(method, &Write);
        _ = OpenSsl.BioMethodSetControl(method, &Control);
        return method;
    }

    [UnmanagedCallersOnly]
    static int Read(nint bio, byte* buffer, int length)
    {
        var state = (State*)OpenSsl.BioGetData(bio);
        OpenSsl.BioClearFlags(bio, AllFlags);
        var read = Kernel.Of(state->Kernel).Receive(state->Descriptor, buffer, length);
        state->IsDrained = read < length ? 1 : 0;
        if (read is -Native.Eagain or -Native.Eintr)
        {
            OpenSsl.BioSetFlags(bio, ShouldRetryRead);
            return -1;
        }

        return Math.Max(read, 0);
    }

    [UnmanagedCallersOnly]
    static int Write(nint bio, byte* buffer, int length)
    {
        var state = (State*)OpenSsl.BioGetData(bio);
        OpenSsl.BioClearFlags(bio, AllFlags);
        var sent = Kernel.Of(state->Kernel).Send(state->Descriptor, buffer, length);
        if (sent is -Native.Eagain or -Native.Eintr)
        {
            OpenSsl.BioSetFlags(bio, ShouldRetryWrite);
            return -1;
        }

        return sent < 0 ? -1 : sent;
    }

    [UnmanagedCallersOnly]
    static nint Control(nint bio, int command, nint number, nint pointer) => command == ControlFlush ? 1 : 0;
}
