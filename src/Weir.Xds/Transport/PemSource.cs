namespace Weir.Xds.Transport;

/// <summary>Where a certificate or key is: a file, which is read anew for each connection, or the text itself.</summary>
public sealed record PemSource(string? Path, string? Text)
{
    public static PemSource File(string path) => new(path, null);

    public static PemSource Inline(string text) => new(null, text);

    /// <exception cref="IOException">The file cannot be read; the message names it.</exception>
    public string Read()
    {
        if (Path is null)
        {
            return Text ?? "";
        }

        try
        {
            return System.IO.File.ReadAllText(Path);
        }
        catch (Exception e) when (e is FileNotFoundException or DirectoryNotFoundException)
        {
            throw new IOException($"there is no file {Path}");
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException or NotSupportedException)
        {
            throw new IOException($"the file {Path} cannot be read");
        }
    }

    public override string ToString() => Path ?? "what is given inline";
}
