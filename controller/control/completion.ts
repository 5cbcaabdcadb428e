/** Completion scripts of dsmipctl: command names and options; home addresses are asked of the daemon. */
import { MobilityError } from "../base/errors.js";

const BY_HOME_ADDRESS = ["binding", "plan", "security"];
const LIST = "dsmipctl bindings 2>/dev/null | awk 'NR > 1 { print $1 }'";

/** Throws MobilityError for a shell we have no script for. */
export function completionScript(shell: string, commands: readonly string[]): string {
  const words = commands.join(" ");
  if (shell === "bash") {
    return [
      "_dsmipctl() {",
      // biome-ignore lint/suspicious/noTemplateCurlyInString: the shell's own
      '  local word="${COMP_WORDS[COMP_CWORD]}" before="${COMP_WORDS[COMP_CWORD-1]}"',
      "  case $before in",
      `    ${BY_HOME_ADDRESS.join("|")}) COMPREPLY=($(compgen -W "$(${LIST})" -- "$word"));;`,
      '    -o|--output) COMPREPLY=($(compgen -W "table json" -- "$word"));;',
      '    -s|--socket) COMPREPLY=($(compgen -f -- "$word"));;',
      '    wait) COMPREPLY=($(compgen -W "registered home" -- "$word"));;',
      '    completion) COMPREPLY=($(compgen -W "bash zsh fish" -- "$word"));;',
      `    *) COMPREPLY=($(compgen -W "${words} --socket --output --timeout --help" -- "$word"));;`,
      "  esac",
      "}",
      "complete -F _dsmipctl dsmipctl",
    ].join("\n");
  }
  if (shell === "zsh") return `autoload -U +X bashcompinit && bashcompinit\n${completionScript("bash", commands)}`;
  if (shell === "fish") {
    return [
      "complete -c dsmipctl -f",
      `complete -c dsmipctl -n __fish_use_subcommand -a '${words}'`,
      `complete -c dsmipctl -n '__fish_seen_subcommand_from ${BY_HOME_ADDRESS.join(" ")}' -a '(${LIST.replace(/'/g, "\\'")})'`,
      "complete -c dsmipctl -n '__fish_seen_subcommand_from wait' -a 'registered home'",
      "complete -c dsmipctl -s o -l output -x -a 'table json'",
      "complete -c dsmipctl -s s -l socket -r",
      "complete -c dsmipctl -s t -l timeout -x",
    ].join("\n");
  }
  throw new MobilityError("MIP_USAGE", `no completion for ${shell}; there is one for bash, zsh and fish`);
}
