using System.CommandLine;
using Weir.App.Cluster;
using Weir.Node.Images;

namespace Weir.App.Commands;

/// <summary><c>weir image</c>: what containers' images stand for on this machine.</summary>
static class ImageCommand
{
    public static Command Create()
    {
        var data = Shared.Data();
        var list = new Command("list", "Show the image catalogue.") { data };
        list.SetAction(parsed =>
        {
            var rows = Open(parsed.GetValue(data)!).All.Select(e => new[] { e.Name, e.Directory.Length == 0 ? "-" : e.Directory, string.Join(' ', e.Command) });
            TextTable.Write(Console.Out, ["NAME", "DIRECTORY", "COMMAND"], rows);
            return 0;
        });

        var name = new Argument<string>("NAME") { Description = "The image's name without a tag; it stands for every tag." };
        var directory = new Option<string>("--dir") { Description = "Directory of the program.", HelpName = "DIR", Required = true };
        var program = new Argument<string[]>("COMMAND") { Description = "The default command, after --.", Arity = ArgumentArity.OneOrMore };
        var add = new Command("add", "Put a program into the catalogue, so that pods can run it.\n\nExample: weir image add example.com/shop --dir ./shop/bin -- ./shop --port=8080") { name, directory, program, data };
        add.SetAction(parsed =>
        {
            var path = Path.GetFullPath(parsed.GetValue(directory)!);
            if (!Directory.Exists(path))
            {
                throw new CommandException($"--dir: {path} is no directory");
            }

            var cluster = new DataDirectory(parsed.GetValue(data)!);
            cluster.Create();
            Open(cluster.Path).Add(new ImageEntry(parsed.GetValue(name)!, path, parsed.GetValue(program)!));
            Console.WriteLine($"image {parsed.GetValue(name)} added");
            return 0;
        });
        return new Command("image", "The image catalogue: programs of this machine under image names.") { list, add };
    }

    static ImageCatalogue Open(string data) => new(BuiltInImages.All(AppContext.BaseDirectory), new DataDirectory(data).Images);
}
