using System.Collections;
using Google.Protobuf;
using Google.Protobuf.Reflection;
using Google.Protobuf.WellKnownTypes;

namespace Weir.Proxy.Tests;

/// <summary>One step into a message: a field, and which of its values.</summary>
sealed record FieldStep(FieldDescriptor Field, object? Key);

/// <summary>Walks through messages, into those that an <c>Any</c> holds as well, and changes copies of them.</summary>
static class FieldEdits
{
    static readonly Dictionary<string, MessageParser> Parsers = FieldBases.Files.SelectMany(f => f.MessageTypes).ToDictionary(m => $"type.googleapis.com/{m.FullName}", m => m.Parser);

    public static void Walk(IMessage message, IReadOnlyList<FieldStep> path, Action<IReadOnlyList<FieldStep>, FieldDescriptor> visit)
    {
        foreach (var field in message.Descriptor.Fields.InFieldNumberOrder())
        {
            visit(path, field);
            foreach (var (key, child) in Children(message, field))
            {
                if (Opened(child) is { } inner)
                {
                    Walk(inner, [.. path, new FieldStep(field, key)], visit);
                }
            }
        }
    }

    static IEnumerable<(object? Key, IMessage Child)> Children(IMessage message, FieldDescriptor field)
    {
        var value = field.Accessor.GetValue(message);
        return field.IsMap ? ((IDictionary)value).Keys.Cast<object>().Where(k => ((IDictionary)value)[k] is IMessage).Select(k => ((object?)k, (IMessage)((IDictionary)value)[k]!))
            : field.IsRepeated ? ((IList)value).Cast<object>().Select((v, i) => ((object?)i, v as IMessage)).Where(c => c.Item2 is not null).Select(c => (c.Item1, c.Item2!))
            : value is IMessage child ? [(null, child)] : [];
    }

    /// <summary>Null for messages of protobuf's own, which are values.</summary>
    static IMessage? Opened(IMessage message) => message is Any any ? Parsers[any.TypeUrl].ParseFrom(any.Value)
        : message.Descriptor.File.Package == "google.protobuf" ? null : message;

    /// <returns>Copies with the field set, as it is not in the original.</returns>
    public static IEnumerable<IMessage> WithFieldSet(IMessage root, IReadOnlyList<FieldStep> path, FieldDescriptor field)
    {
        foreach (var value in Values(field))
        {
            var copy = root.Descriptor.Parser.ParseFrom(root.ToByteString());
            Change(copy, path, message => Set(message, field, value));
            yield return copy;
        }
    }

    static void Change(IMessage message, IEnumerable<FieldStep> path, Action<IMessage> change)
    {
        if (path.FirstOrDefault() is not { } step)
        {
            change(message);
            return;
        }

        var value = step.Field.Accessor.GetValue(message);
        var child = (IMessage)(step.Field.IsMap ? ((IDictionary)value)[step.Key!]! : step.Key is int at ? ((IList)value)[at]! : value);
        if (child is Any any)
        {
            var inner = Parsers[any.TypeUrl].ParseFrom(any.Value);
            Change(inner, path.Skip(1), change);
            any.Value = inner.ToByteString();
        }
        else
        {
            Change(child, path.Skip(1), change);
        }
    }

    static void Set(IMessage message, FieldDescriptor field, object value)
    {
        if (field.IsMap)
        {
            ((IDictionary)field.Accessor.GetValue(message))["other"] = value;
        }
        else if (field.IsRepeated)
        {
            ((IList)field.Accessor.GetValue(message)).Add(value);
        }
        else
        {
            field.Accessor.SetValue(message, value.Equals(field.Accessor.GetValue(message)) && value is bool b ? !b : value);
        }
    }

    static IEnumerable<object> Values(FieldDescriptor field)
    {
        if (field.IsMap)
        {
            return Values(field.MessageType.Fields[2]);
        }

        return field.FieldType switch
        {
            FieldType.Bool => [true],
            FieldType.String => ["x"],
            FieldType.Bytes => [ByteString.CopyFromUtf8("x")],
            FieldType.Enum => [.. field.EnumType.Values.Where(v => v.Number != 0).Select(v => System.Enum.ToObject(field.EnumType.ClrType, v.Number))],
            FieldType.UInt32 => [7u],
            FieldType.UInt64 => [7ul],
            FieldType.Int32 => [7],
            FieldType.Int64 => [7L],
            FieldType.Double => [7.0],
            FieldType.Message => OfMessage(field.MessageType),
            var other => throw new NotSupportedException($"{field.FullName} is of type {other}"),
        };
    }

    static object[] OfMessage(MessageDescriptor type) => type.FullName switch
    {
        "google.protobuf.BoolValue" => [true, false],
        "google.protobuf.UInt32Value" => [7u],
        "google.protobuf.UInt64Value" => [7ul],
        "google.protobuf.Duration" => [new Duration { Seconds = 7 }],
        _ => [type.Parser.ParseFrom(ByteString.Empty)],
    };
}
