using System.Text;
using Weir.Xds.Transport;

namespace Weir.Xds.Bootstrap;

/// <summary>Certificates and keys, from a <c>DataSource</c>.</summary>
static class PemReader
{
    /// <summary>Null when the field is absent.</summary>
    public static PemSource? Source(JsonField parent, string name)
    {
        if (parent.Object(name) is not { } field)
        {
            return null;
        }

        var source = field.Text("filename") is { Length: > 0 } path ? PemSource.File(path)
            : field.Text("inline_string") is { Length: > 0 } text ? PemSource.Inline(text)
            : field.Text("inline_bytes") is { Length: > 0 } bytes ? PemSource.Inline(Decoded(field, bytes))
            : field.Text("environment_variable") is { Length: > 0 } variable ? PemSource.Inline(Environment.GetEnvironmentVariable(variable) ?? "")
            : null;
        if (source is null)
        {
            field.Error("must have filename, inline_string, inline_bytes or environment_variable");
        }

        field.Ignore("watched_directory");
        field.Close();
        return source;
    }

    static string Decoded(JsonField field, string base64)
    {
        try
        {
            return Encoding.UTF8.GetString(Convert.FromBase64String(base64));
        }
        catch (FormatException)
        {
            field.Error("inline_bytes is not base64");
            return "";
        }
    }
}
