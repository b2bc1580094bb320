using System.Buffers.Text;
using System.Security.Cryptography;
using System.Text;
using System.Text.Json;

namespace Weir.Samples.Podinfo;

/// <summary>Issues and checks JSON web tokens (HS256) with a key that lives as long as the process.</summary>
sealed class TokenService(TimeProvider time)
{
    static readonly TimeSpan Lifetime = TimeSpan.FromMinutes(1);

    readonly byte[] key = RandomNumberGenerator.GetBytes(32);

    public (string Token, DateTimeOffset Expires) Issue(string name)
    {
        var expires = time.GetUtcNow() + Lifetime;
        var content = Encode("""{"alg":"HS256","typ":"JWT"}"""u8) + "."
            + Encode(JsonSerializer.SerializeToUtf8Bytes(new Dictionary<string, object> { ["iss"] = "podinfo", ["name"] = name, ["exp"] = expires.ToUnixTimeSeconds() }));
        return ($"{content}.{Sign(content)}", expires);
    }

    /// <returns>The name in the token, or null if it is not valid.</returns>
    public string? Validate(string token)
    {
        var parts = token.Split('.');
        if (parts.Length != 3
            || !CryptographicOperations.FixedTimeEquals(Encoding.ASCII.GetBytes(Sign($"{parts[0]}.{parts[1]}")), Encoding.ASCII.GetBytes(parts[2])))
        {
            return null;
        }

        using var claims = JsonDocument.Parse(Base64Url.DecodeFromChars(parts[1]));
        return claims.RootElement.GetProperty("exp").GetInt64() > time.GetUtcNow().ToUnixTimeSeconds()
            ? claims.RootElement.GetProperty("name").GetString() : null;
    }

    string Sign(string content) => Encode(HMACSHA256.HashData(key, Encoding.ASCII.GetBytes(content)));

    static string Encode(ReadOnlySpan<byte> bytes) => Base64Url.EncodeToString(bytes);
}
