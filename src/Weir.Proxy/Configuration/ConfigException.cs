namespace Weir.Proxy.Configuration;

/// <summary>A resource that this proxy cannot carry out; the message is what the control plane is told.</summary>
public sealed class ConfigException(string message) : Exception(message);
