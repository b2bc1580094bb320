namespace Weir.Proxy.Simulation;

/// <summary>One connection to an endpoint: reads requests, and answers each as its plan says.</summary>
sealed class Http1UpstreamConnection(SimulationState state, SimulatedSocket socket, RequestTap tap)
{
    readonly byte[] buffer = new byte[8192];
    byte[]? answer;
    int answerEnd;
    int cut;
    int sent;
    int interims;
    long dueAt = -1;
    bool isSilent;
    bool hasEnded;
    bool isTunnel;

    public bool IsOver { get; private set; }

    /// <summary>It does not close of its own accord.</summary>
    public bool IsBenign { get; init; }

    public long NextDue => dueAt > state.Now ? dueAt : long.MaxValue;

    ReceivedRequest? Current => tap.Answered < tap.Requests.Count && socket.BytesRead >= tap.Requests[tap.Answered].HeadEnd ? tap.Requests[tap.Answered] : null;

    public bool Act() => !IsOver && (state.Random.Chance(50) ? Read() || Write() : Write() || Read());

    bool Read()
    {
        var reads = Current is not { Plan.Answer.Moment: AnswerMoment.InsteadOfBody };
        if (!reads && !socket.IsReset)
        {
            return false;
        }

        var read = socket.Read(buffer.AsSpan(0, state.Random.Skewed(buffer.Length)), isPeek: false);
        if (read == -Reactor.Native.Eagain || hasEnded)
        {
            return false;
        }

        if (read > 0)
        {
            return true;
        }

        hasEnded = true;
        if (read < 0 || !isTunnel)
        {
            Close();
        }

        return true;
    }

    void Close()
    {
        socket.Close();
        IsOver = true;
    }

    bool Write()
    {
        if (Current is not { } request || isSilent)
        {
            return CloseIdle();
        }

        var plan = request.Plan;
        if (plan.Answer.Fault == AnswerFault.EndlessInterim)
        {
            return SendEndlessly();
        }

        if (interims < plan.Answer.Interims.Length)
        {
            return SendInterim(Rendering.Interim(plan, plan.Answer.Interims[interims]));
        }

        if (answer is null && !Begin(request))
        {
            return false;
        }

        if (state.Now < dueAt)
        {
            return false;
        }

        return sent < cut ? Send() : Finish(request);
    }

    bool SendInterim(byte[] interim)
    {
        if (socket.Room < interim.Length && !socket.IsReset)
        {
            return false;
        }

        interims++;
        return socket.Write(interim) == interim.Length || Fail();
    }

    /// <summary>Aborts the connection.</summary>
    bool Fail()
    {
        socket.Abort();
        IsOver = true;
        return true;
    }

    bool SendEndlessly()
    {
        if (state.Now < dueAt)
        {
            return false;
        }

        dueAt = state.Now + 40;
        return socket.Write("HTTP/1.1 100 Continue\r\n\r\n"u8) == 25 || Fail();
    }

    bool Begin(ReceivedRequest request)
    {
        var plan = request.Plan;
        if (plan.Answer.Moment == AnswerMoment.AfterRequest && !plan.IsTunnel && !(request.End <= socket.BytesRead))
        {
            return false;
        }

        answer = Rendering.Answer(plan, state.Random, out answerEnd);
        sent = 0;
        isTunnel = plan.IsTunnel && plan.Answer.Framing == Framing.Close;
        cut = plan.Answer.Fault is AnswerFault.None or AnswerFault.Surplus ? answer.Length : plan.Answer.Fault == AnswerFault.Garbage ? 0 : answer.Length * plan.Answer.FaultAt / 100;
        dueAt = plan.Answer.DelayMilliseconds > 0 ? state.Now + plan.Answer.DelayMilliseconds : -1;
        return true;
    }

    bool Send()
    {
        var written = socket.Write(answer.AsSpan(sent, state.Random.Skewed(cut - sent)));
        if (written == -Reactor.Native.Eagain)
        {
            return false;
        }

        if (written < 0)
        {
            return Fail();
        }

        var before = sent;
        sent += written;
        if (before < answerEnd && sent >= answerEnd)
        {
            tap.AnswersEnd = socket.BytesWritten - (sent - answerEnd);
        }

        return true;
    }

    bool Finish(ReceivedRequest request)
    {
        var plan = request.Plan;
        switch (plan.Answer.Fault)
        {
            case AnswerFault.Silence when sent < answerEnd:
                isSilent = true;
                return true;
            case AnswerFault.End when sent < answerEnd && plan.Answer.Framing != Framing.Close:
                Close();
                return true;
            case AnswerFault.Reset when sent < answerEnd:
                return Fail();
            case AnswerFault.Garbage:
                _ = socket.Write("\0garbage\r\n\r\n"u8);
                isSilent = true;
                return true;
            case AnswerFault.End when sent < answerEnd:
                return Fail();
        }

        if (isTunnel)
        {
            if (!socket.IsShut && (hasEnded || !plan.Answer.EndsAfterPeer))
            {
                socket.Shut();
            }
            else if (socket.IsShut && hasEnded)
            {
                Close();
            }
            else
            {
                return false;
            }

            return true;
        }

        tap.Answered++;
        answer = null;
        interims = 0;
        dueAt = -1;
        if (plan.Answer.Framing == Framing.Close && !plan.IsHead || plan.Answer.SaysClose || plan.Answer.Closes || request.End is null)
        {
            Close();
        }

        return true;
    }

    bool CloseIdle()
    {
        if (IsBenign || state.IsStill || isSilent || tap.Answered < tap.Requests.Count || !state.Random.PerMille(10))
        {
            return false;
        }

        Close();
        return true;
    }
}
