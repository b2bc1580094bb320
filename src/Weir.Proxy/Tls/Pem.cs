namespace Weir.Proxy.Tls;

/// <summary>Objects from PEM text. The caller owns what it is given.</summary>
static unsafe class Pem
{
    public static List<nint> Certificates(byte[] text) => ReadAll(text, &OpenSsl.ReadCertificate);

    public static List<nint> RevocationLists(byte[] text) => ReadAll(text, &OpenSsl.ReadRevocationList);

    /// <returns>0 if there is none.</returns>
    public static nint PrivateKey(byte[] text)
    {
        fixed (byte* bytes = text)
        {
            var bio = OpenSsl.BioFromMemory(bytes, text.Length);

            // An empty password, so that an encrypted key fails instead of asking on the terminal.
            var nothing = stackalloc byte[1];
            var key = OpenSsl.ReadPrivateKey(bio, 0, 0, (nint)nothing);
            _ = OpenSsl.BioFree(bio);
            OpenSsl.ClearErrors();
            return key;
        }
    }

    /// <summary>The end of a certificate's validity, as it stands in it.</summary>
    public static string EndOf(nint certificate)
    {
        var time = OpenSsl.GetNotAfter(certificate);
        return System.Text.Encoding.ASCII.GetString(OpenSsl.StringData(time), OpenSsl.StringLength(time));
    }

    static List<nint> ReadAll(byte[] text, delegate*<nint, nint, nint, nint, nint> read)
    {
        var result = new List<nint>();
        if (text.Length == 0)
        {
            return result;
        }

        fixed (byte* bytes = text)
        {
            var bio = OpenSsl.BioFromMemory(bytes, text.Length);
            for (nint item; (item = read(bio, 0, 0, 0)) != 0;)
            {
                result.Add(item);
            }

            _ = OpenSsl.BioFree(bio);
            OpenSsl.ClearErrors();
        }

        return result;
    }
}
