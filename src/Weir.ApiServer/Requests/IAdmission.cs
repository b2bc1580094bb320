using Weir.Resources;
using Weir.Resources.Kinds;

namespace Weir.ApiServer.Requests;

/// <summary>A step of admission: it may change the new object, or refuse it.</summary>
public interface IAdmission
{
    /// <param name="old">Null on creation.</param>
    /// <returns>What is wrong with the request; empty to let it pass.</returns>
    IEnumerable<Violation> Admit(ResourceKind kind, Resource resource, Resource? old);
}
