namespace Weir.Identity;

/// <summary>Files with secrets: readable by their owner alone from the first byte on, and replaced whole.</summary>
public static class PrivateFile
{
    public static void Write(string path, string text)
    {
        var draft = path + ".new";
        File.Delete(draft);
        using (var file = new FileStream(draft, new FileStreamOptions
        {
            Mode = FileMode.CreateNew,
            Access = FileAccess.Write,
            UnixCreateMode = UnixFileMode.UserRead | UnixFileMode.UserWrite,
        }))
        {
            file.Write(System.Text.Encoding.UTF8.GetBytes(text));
        }

        File.Move(draft, path, overwrite: true);
    }
}
