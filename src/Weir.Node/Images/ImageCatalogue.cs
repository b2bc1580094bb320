using System.Text.Json;
using Weir.Resources;

namespace Weir.Node.Images;

/// <summary>A program under an image name: a directory, and the command that is run when a container names none.</summary>
/// <param name="Name">Without a tag; it stands for every tag.</param>
/// <param name="Directory">Commands are looked up here first; empty for the machine itself.</param>
public sealed record ImageEntry(string Name, string Directory, IReadOnlyList<string> Command);

/// <summary>Which images this node can run. Entries that users add are kept in one file and read again on every look-up.</summary>
public sealed class ImageCatalogue(IReadOnlyList<ImageEntry> builtIn, string file)
{
    /// <summary>The image that runs a command of the machine itself.</summary>
    public const string Host = "host";

    public IReadOnlyList<ImageEntry> All => [.. Added(), .. builtIn, new ImageEntry(Host, "", [])];

    /// <summary>The entry for an image reference and the reference's tag (<c>latest</c> when it has none).</summary>
    public (ImageEntry? Entry, string Tag) Find(string reference)
    {
        var (name, tag) = Split(reference);
        return (All.FirstOrDefault(e => Normal(e.Name) == Normal(name)), tag);
    }

    public void Add(ImageEntry entry)
    {
        var entries = Added().Where(e => e.Name != entry.Name).Append(entry).ToList();
        File.WriteAllText(file + ".new", JsonSerializer.Serialize(entries, Resource.JsonOptions));
        File.Move(file + ".new", file, overwrite: true);
    }

    List<ImageEntry> Added() =>
        File.Exists(file) ? JsonSerializer.Deserialize<List<ImageEntry>>(File.ReadAllText(file), Resource.JsonOptions) ?? [] : [];

    static (string Name, string Tag) Split(string reference)
    {
        var digest = reference.IndexOf('@', StringComparison.Ordinal);
        if (digest >= 0)
        {
            reference = reference[..digest];
        }

        var colon = reference.LastIndexOf(':');
        return colon > reference.LastIndexOf('/') ? (reference[..colon], reference[(colon + 1)..]) : (reference, "latest");
    }

    /// <summary>Docker Hub's names may be written with or without their registry.</summary>
    static string Normal(string name) =>
        name.StartsWith("docker.io/library/", StringComparison.Ordinal) ? name["docker.io/library/".Length..]
        : name.StartsWith("docker.io/", StringComparison.Ordinal) ? name["docker.io/".Length..]
        : name;
}
