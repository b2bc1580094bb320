using System.Diagnostics;
using System.Globalization;
using System.Security.Cryptography;
using Xunit.Abstractions;

namespace Weir.Proxy.Simulation;

/// <summary>
/// Courses of events that nobody would think of. A failure names its seed, which goes into <c>seeds.txt</c> once it is understood;
/// <c>WEIR_SIMULATION_SEED</c> runs one seed, <c>WEIR_SIMULATION_SECONDS</c> sets how long is searched.
/// </summary>
public class SimulationTests(ITestOutputHelper output)
{
    const ulong FixedBase = 20_000_000;

    static int Seconds => int.Parse(Environment.GetEnvironmentVariable("WEIR_SIMULATION_SECONDS") ?? "5", CultureInfo.InvariantCulture);

    [Fact]
    public void Seeds_that_failed_once_do_not_fail_again()
    {
        foreach (var line in File.ReadLines(Path.Combine(AppContext.BaseDirectory, "seeds.txt")))
        {
            if (ulong.TryParse(line.Split(' ')[0], NumberStyles.None, CultureInfo.InvariantCulture, out var seed))
            {
                Simulation.Run(seed);
            }
        }
    }

    [Fact]
    public void The_same_courses_as_ever_keep_the_invariants() => Search(FixedBase, TimeSpan.FromSeconds(Seconds));

    [Fact]
    public void New_courses_keep_the_invariants()
    {
        var given = Environment.GetEnvironmentVariable("WEIR_SIMULATION_SEED");
        if (given is not null)
        {
            Simulation.Run(ulong.Parse(given, CultureInfo.InvariantCulture));
            return;
        }

        if (Environment.GetEnvironmentVariable("WEIR_SIMULATION_SECONDS") is null)
        {
            // New courses are for whoever looks for defects: a change must not fail for one that it did not make.
            return;
        }

        Search((ulong)RandomNumberGenerator.GetInt32(int.MaxValue) << 24, TimeSpan.FromSeconds(Seconds));
    }

    [Fact]
    public void A_seed_tells_the_whole_course()
    {
        for (ulong seed = 1; seed < 100; seed++)
        {
            Assert.Equal(Simulation.Run(seed), Simulation.Run(seed));
        }
    }

    void Search(ulong start, TimeSpan time)
    {
        var clock = Stopwatch.StartNew();
        long steps = 0;
        var seed = start;
        var failures = new Failures();
        for (; clock.Elapsed < time; seed++)
        {
            try
            {
                steps += Simulation.Run(seed).Steps;
            }
            catch (InvariantException e)
            {
                failures.Add(e.Message, clock.Elapsed);
            }
        }

        Assert.True(failures.IsEmpty, failures.ToString());
        output.WriteLine(string.Create(CultureInfo.InvariantCulture, $"seeds {start} to {seed - 1}: {seed - start} courses, {steps} steps in {clock.Elapsed.TotalSeconds:f1} s"));
    }
}
