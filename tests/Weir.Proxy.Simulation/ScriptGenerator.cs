namespace Weir.Proxy.Simulation;

/// <summary>Makes up requests and answers.</summary>
sealed class ScriptGenerator(SimulationState state, Settings settings)
{
    readonly SimulationRandom random = state.Random;
    int nextId = 1;

    /// <summary>The requests of one connection.</summary>
    public List<RequestPlan> Requests()
    {
        var requests = new List<RequestPlan>();
        var count = random.Pick(1, 2, 2, 3, 5);
        for (var i = 0; i < count; i++)
        {
            var request = Request(isLast: i == count - 1);
            state.Plans.Add(request.Id, request);
            requests.Add(request);
        }

        return requests;
    }

    RequestPlan Request(bool isLast)
    {
        var id = nextId++;
        var isTunnel = isLast && random.Chance(8);
        var method = isTunnel ? random.Pick("GET", "CONNECT") : random.Pick("GET", "GET", "HEAD", "POST", "POST", "PUT", "DELETE");
        var hasBody = !isTunnel && method is "POST" or "PUT" && random.Chance(85);
        var framing = hasBody ? random.Pick(Framing.Length, Framing.Chunked) : Framing.None;
        var isHttp10 = !isTunnel && framing != Framing.Chunked && isLast && random.Chance(10);
        var length = hasBody || isTunnel ? random.Skewed(settings.LargestBody) : 0;
        var answer = Answer(method, isTunnel, hasBody);
        return new RequestPlan(id)
        {
            Method = method,
            Framing = framing,
            Length = length,
            HasTrailers = framing == Framing.Chunked && random.Chance(30),
            Expects = hasBody && !isHttp10 && random.Chance(20),
            IsHttp10 = isHttp10,
            Closes = isLast && random.Chance(30),
            IsTunnel = isTunnel,
            EndsAfterPeer = isTunnel && !answer.EndsAfterPeer && random.Chance(40),
            IsPipelined = !isTunnel && random.Chance(40),
            PauseAt = random.Chance(25) ? random.Below(length + 60) : -1,
            PauseMilliseconds = settings.IsBenign ? random.Between(1, 300) : random.Pick(30, 150, 400, 3000),
            Answer = answer,
        };
    }

    AnswerPlan Answer(string method, bool isTunnel, bool hasBody)
    {
        if (isTunnel)
        {
            var isAgreed = random.Chance(80);
            return new AnswerPlan
            {
                Status = method == "CONNECT" ? isAgreed ? 200 : 403 : isAgreed ? 101 : 200,
                Framing = isAgreed ? Framing.Close : Framing.Length,
                Length = random.Skewed(settings.LargestBody),
                EndsAfterPeer = random.Chance(40),
                Fault = settings.IsBenign ? AnswerFault.None : random.Pick(AnswerFault.None, AnswerFault.None, AnswerFault.Silence, AnswerFault.Reset),
                FaultAt = random.Below(101),
            };
        }

        var status = random.Pick(200, 200, 200, 201, 204, 304, 404, 500);
        var framing = status is 204 or 304 ? Framing.None : random.Pick(Framing.Length, Framing.Length, Framing.Chunked, Framing.Close, Framing.Length);
        var mishap = !settings.IsBenign && random.Chance(35);
        return new AnswerPlan
        {
            Status = status,
            Framing = framing,
            Length = framing == Framing.None ? 0 : random.Chance(10) ? 0 : random.Skewed(settings.LargestBody),
            HasTrailers = framing == Framing.Chunked && random.Chance(30),
            Interims = random.Chance(15) ? [random.Pick(100, 102, 103), .. random.Chance(50) ? [103] : Array.Empty<int>()] : [],
            Moment = settings.IsBenign || !hasBody ? AnswerMoment.AfterRequest : random.Pick(AnswerMoment.AfterRequest, AnswerMoment.AfterRequest, AnswerMoment.AfterHead, AnswerMoment.InsteadOfBody),
            Fault = mishap
                ? random.Pick(AnswerFault.Silence, AnswerFault.End, AnswerFault.Reset, AnswerFault.Garbage, AnswerFault.Surplus, AnswerFault.EndlessInterim)
                : AnswerFault.None,
            FaultAt = random.Chance(30) ? 0 : random.Below(101),
            SaysClose = random.Chance(15),
            Closes = !settings.IsBenign && random.Chance(10),
            DelayMilliseconds = random.Chance(20) ? settings.IsBenign ? random.Between(1, 300) : random.Pick(20, 100, 400, 2500) : 0,
        };
    }
}
