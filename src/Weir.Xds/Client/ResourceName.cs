using Google.Protobuf;

namespace Weir.Xds.Client;

/// <summary>The name inside a resource. It is field 1 of all the types in <see cref="XdsTypes.PushOrder"/>, so it is found without their parsers.</summary>
static class ResourceName
{
    const uint NameTag = (1 << 3) | 2;

    /// <returns>Null when the bytes are no message.</returns>
    public static string? Of(ByteString resource)
    {
        var name = "";
        var input = resource.CreateCodedInput();
        try
        {
            while (input.ReadTag() is var tag and not 0)
            {
                if (tag == NameTag)
                {
                    name = input.ReadString();
                }
                else
                {
                    input.SkipLastField();
                }
            }
        }
        catch (InvalidProtocolBufferException)
        {
            return null;
        }

        return name;
    }
}
