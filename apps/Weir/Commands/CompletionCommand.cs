using System.CommandLine;

namespace Weir.App.Commands;

/// <summary><c>weir completion bash|zsh</c>: a script that asks the program itself what could come next.</summary>
static class CompletionCommand
{
    const string Bash = """
        _weir() {
          local IFS=$'\n'
          COMPREPLY=($(compgen -W "$("${COMP_WORDS[0]}" "[suggest:${COMP_POINT}]" "${COMP_LINE}" 2>/dev/null)" -- "${COMP_WORDS[COMP_CWORD]}"))
        }
        complete -o default -F _weir weir
        """;

    const string Zsh = """
        #compdef weir
        _weir() {
          local -a suggestions
          suggestions=("${(@f)$("${words[1]}" "[suggest:$CURSOR]" "$BUFFER" 2>/dev/null)}")
          compadd -a suggestions
        }
        compdef _weir weir
        """;

    public static Command Create()
    {
        var shell = new Argument<string>("SHELL") { Description = "bash or zsh." };
        shell.AcceptOnlyFromAmong("bash", "zsh");
        var command = new Command("completion", "Print a completion script.\n\nExample: source <(weir completion bash)") { shell };
        command.SetAction(parsed =>
        {
            Console.WriteLine(parsed.GetValue(shell) == "bash" ? Bash : Zsh);
            return 0;
        });
        return command;
    }
}
