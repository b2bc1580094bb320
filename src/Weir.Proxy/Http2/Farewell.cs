using Weir.Proxy.Reactor;

namespace Weir.Proxy.Http2;

/// <summary>
/// Ends a client's connection without losing a request (RFC 9113 section 6.8). The client is told that it ends, and what it opens until it
/// knows is still served; a while later it is told which stream was the last that is. The timer is for when a step has taken long enough.
/// </summary>
sealed class Farewell(Http2Session session) : TimerEntry
{
    /// <summary>From when a client knows that its connection ends until it may open no more streams.</summary>
    const int KnownMilliseconds = 500;

    /// <summary>The same for a client that does not say that it knows.</summary>
    const int UnansweredMilliseconds = 2000;

    enum Step : byte
    {
        None,

        /// <summary>The client has been told.</summary>
        Announced,

        /// <summary>It has answered the PING that came with it; what it had begun to open may still be on its way out of it.</summary>
        Known,

        /// <summary>It may open no more.</summary>
        Final,
    }

    Step step;

    /// <summary>The client may open no more streams.</summary>
    public bool IsFinal => step == Step.Final;

    public void BeginIn(int milliseconds) => session.Loop.Timers.Set(this, session.Loop.Now + milliseconds);

    public void Begin()
    {
        if (step != Step.None || session.IsClosed)
        {
            return;
        }

        step = Step.Announced;
        session.Output.GoAway(int.MaxValue, Http2ErrorCode.NoError);
        session.Output.Ping("weirdone"u8, isAck: false);
        session.Loop.Timers.Set(this, session.Loop.Now + UnansweredMilliseconds);
        session.ScheduleFlush();
    }

    /// <summary>Once: to answer again puts off nothing.</summary>
    public void OnPingAnswered()
    {
        if (step == Step.Announced)
        {
            step = Step.Known;
            session.Loop.Timers.Set(this, session.Loop.Now + KnownMilliseconds);
        }
    }

    /// <summary>The client may open no more streams from now on.</summary>
    public void Conclude()
    {
        if (step == Step.Final || session.IsClosed)
        {
            return;
        }

        step = Step.Final;
        session.GoAway(Http2ErrorCode.NoError);
        session.ScheduleFlush();
    }

    public override void OnDue()
    {
        if (step == Step.None)
        {
            Begin();
        }
        else
        {
            Conclude();
        }
    }

    /// <summary>The connection is over.</summary>
    public void Cancel() => session.Loop.Timers.Remove(this);
}
