//! `medtainer completions`: the script that a shell loads.

use clap::{Args, ValueEnum};
use clap_complete::env::{EnvCompleter, Shells};
use medtainer_core::cli::Host;
use medtainer_core::command::{Chore, Effect};
use medtainer_core::output::Text;
use medtainer_core::{Error, Result};

/// The shells there are scripts for.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub enum Shell {
    /// Bash
    Bash,
    /// Zsh
    Zsh,
    /// Fish
    Fish,
    /// PowerShell
    Powershell,
}

/// Print the completion script of a shell
///
/// Bash: add `source <(medtainer completions bash)` to `~/.bashrc`. Zsh: the same in `~/.zshrc`.
/// Fish: `medtainer completions fish > ~/.config/fish/completions/medtainer.fish`.
/// PowerShell: add `medtainer completions powershell | Out-String | Invoke-Expression` to `$PROFILE`.
/// Names of contacts are completed from the cache, never from the network.
#[derive(Debug, Args)]
pub struct Completions {
    /// The shell
    shell: Shell,
}

impl Chore for Completions {
    type Output = Text;
    const EFFECT: Effect = Effect::Read;

    async fn run(&self, host: &Host) -> Result<Self::Output> {
        script(self.shell, host.app.product.name).map(Text::new)
    }
}

/// The script of a shell: it asks the program itself for every completion.
pub fn script(shell: Shell, name: &str) -> Result<String> {
    let shell = match shell {
        Shell::Bash => "bash",
        Shell::Zsh => "zsh",
        Shell::Fish => "fish",
        Shell::Powershell => "powershell",
    };
    let shells = Shells::builtins();
    let completer: &dyn EnvCompleter = shells
        .completer(shell)
        .ok_or_else(|| Error::internal(format!("there is no completer for `{shell}`")))?;
    let mut script = Vec::new();
    completer
        .write_registration("COMPLETE", name, name, name, &mut script)
        .map_err(|e| Error::internal("the script could not be written").because(e))?;
    let script = String::from_utf8(script)
        .map_err(|e| Error::internal("the script is not text").because(e))?;
    Ok(match shell {
        // Bash keeps an opening quote to itself, and wants what follows it without backslashes.
        "bash" => script.replace(BASH_CALL, &format!("{BASH_QUOTE}{BASH_CALL}")),
        // A `.zshrc` of one line has nothing that completes yet.
        "zsh" => script.replace(ZSH_CALL, &format!("{ZSH_LOAD}{ZSH_CALL}")),
        _ => script,
    })
}

const BASH_CALL: &str = "        COMPLETE=\"bash\" \\\n";
const BASH_QUOTE: &str = "        _CLAP_COMPLETE_QUOTE=\"${COMP_WORDS[COMP_CWORD]:0:1}\" \\\n";
const ZSH_CALL: &str = "\ncompdef _clap";
const ZSH_LOAD: &str = "\n(( $+functions[compdef] )) || { autoload -Uz compinit && compinit -i }";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scripts_are_mended() {
        let bash = script(Shell::Bash, "medtainer").unwrap();
        assert_eq!(bash.matches(BASH_QUOTE).count(), 1, "{bash}");
        let zsh = script(Shell::Zsh, "medtainer").unwrap();
        assert_eq!(zsh.matches(ZSH_LOAD).count(), 1, "{zsh}");
    }
}
