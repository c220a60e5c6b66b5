//! Which program runs a function: the runtime's name turned into an interpreter, a bootstrap and its arguments.

use std::io;
use std::path::{Path, PathBuf};

use tokio::process::Command;
use tokio::sync::OnceCell;

use crate::catalogue::Function;

const PYTHON_BOOTSTRAP: &str = include_str!("../../bootstrap/python.py");
const NODE_BOOTSTRAP: &str = include_str!("../../bootstrap/node.mjs");

/// Prints the interpreter's own path (what is called `python3` may be a wrapper) and whether it has AWS's runtime.
const ASK_PYTHON: &str = "import sys
try:
    import awslambdaric.bootstrap, runtime_client
    found = 'awslambdaric'
except ImportError:
    found = 'none'
print(sys.executable)
print(found)";

const ASK_NODE: &str = "process.stdout.write(process.execPath)";

/// Of the folders of packages that are named, the first whose aws-lambda-ric this Node can load: prints its program. Where
/// none is named, those that Node has for all.
const ASK_FOR_AWS_LAMBDA_RIC: &str = r#"
const fs = require("fs"), path = require("path");
const general = [...(process.env.NODE_PATH ?? "").split(path.delimiter), path.join(process.execPath, "../../lib/node_modules")];
const named = process.argv.slice(1);
// Without it the compiled part ends the process as soon as it is loaded.
process.env.AWS_LAMBDA_RUNTIME_API ??= "127.0.0.1:1";
for (const folder of named.length ? named : general.filter(Boolean)) {
  const ric = path.resolve(folder, "aws-lambda-ric");
  const compiled = ["dist/rapid-client.node", "rapid-client.node"].map((name) => path.join(ric, name)).find(fs.existsSync);
  if (!compiled) continue;
  try {
    require(compiled);
    const { bin } = JSON.parse(fs.readFileSync(path.join(ric, "package.json")));
    process.stdout.write(path.join(ric, bin["aws-lambda-ric"]));
    break;
  } catch {}
}"#;

#[derive(Debug, thiserror::Error)]
pub enum CommandError {
    #[error("{program} cannot be run: {reason}")]
    Interpreter { program: String, reason: String },
    #[error("couldn't find valid bootstrap(s): [{}]", .0.display())]
    NoBootstrap(PathBuf),
    #[error("runtime {0} is not supported")]
    Unsupported(String),
}

/// Which kind of program a runtime's name asks for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    Python,
    Node,
    Provided,
}

impl Kind {
    /// `None` for runtimes that exist on Lambda but not here.
    pub fn of(runtime: &str) -> Option<Kind> {
        match runtime {
            _ if runtime.starts_with("python3.") => Some(Kind::Python),
            _ if runtime.starts_with("nodejs") => Some(Kind::Node),
            "provided" | "provided.al2" | "provided.al2023" => Some(Kind::Provided),
            _ => None,
        }
    }
}

/// The interpreters of this machine, each asked once, and our bootstraps as files.
pub struct Interpreters {
    python: String,
    node: String,
    folder: PathBuf,
    use_aws_runtimes: bool,
    found_python: OnceCell<(PathBuf, bool)>,
    found_node: OnceCell<PathBuf>,
    general_aws_lambda_ric: OnceCell<Option<PathBuf>>,
}

impl Interpreters {
    /// Writes the bootstraps into `folder`. `python` and `node` are names to be searched or paths.
    pub fn new(
        folder: &Path,
        python: String,
        node: String,
        use_aws_runtimes: bool,
    ) -> io::Result<Interpreters> {
        std::fs::create_dir_all(folder)?;
        std::fs::write(folder.join("python.py"), PYTHON_BOOTSTRAP)?;
        std::fs::write(folder.join("node.mjs"), NODE_BOOTSTRAP)?;
        Ok(Interpreters {
            python,
            node,
            folder: folder.to_owned(),
            use_aws_runtimes,
            found_python: OnceCell::new(),
            found_node: OnceCell::new(),
            general_aws_lambda_ric: OnceCell::new(),
        })
    }

    /// Where the bootstraps are (Lambda's LAMBDA_RUNTIME_DIR).
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// The program and its arguments for a function whose code is in `code`.
    pub async fn program(
        &self,
        function: &Function,
        code: &Path,
    ) -> Result<(PathBuf, Vec<String>), CommandError> {
        if let Some(command) = &function.command {
            return Ok(("/bin/sh".into(), vec!["-c".to_owned(), format!("exec {command}")]));
        }
        let runtime = function.runtime.as_deref().unwrap_or("provided.al2023");
        match Kind::of(runtime) {
            Some(Kind::Python) => self.python(&function.handler).await,
            Some(Kind::Node) => self.node(&function.handler, code).await,
            Some(Kind::Provided) => bootstrap(code),
            None => Err(CommandError::Unsupported(runtime.to_owned())),
        }
    }

    async fn python(&self, handler: &str) -> Result<(PathBuf, Vec<String>), CommandError> {
        let (path, has_awslambdaric) =
            self.found_python.get_or_try_init(|| find_python(&self.python)).await?.clone();
        let ours = self.folder.join("python.py").display().to_string();
        let arguments = if has_awslambdaric && self.use_aws_runtimes {
            ["-m", "awslambdaric", handler]
        } else {
            // Unbuffered: what was printed must be in the log when the invocation ends.
            ["-u", &ours, handler]
        };
        Ok((path, arguments.map(str::to_owned).into()))
    }

    async fn node(&self, handler: &str, code: &Path) -> Result<(PathBuf, Vec<String>), CommandError> {
        let path = self.found_node.get_or_try_init(|| find_node(&self.node)).await?.clone();
        let theirs = match self.use_aws_runtimes {
            true => self.aws_lambda_ric(code).await,
            false => None,
        };
        let program = theirs.unwrap_or_else(|| self.folder.join("node.mjs"));
        Ok((path, vec![program.display().to_string(), handler.to_owned()]))
    }

    /// AWS's client, where the function has it among its own packages or Node has it for all.
    async fn aws_lambda_ric(&self, code: &Path) -> Option<PathBuf> {
        let own = own_packages(code);
        if !own.is_empty()
            && let Some(found) = find_aws_lambda_ric(&self.node, &own).await
        {
            return Some(found);
        }
        self.general_aws_lambda_ric.get_or_init(|| find_aws_lambda_ric(&self.node, &[])).await.clone()
    }
}

/// The `node_modules` that Node looks through for code in this folder, as far as aws-lambda-ric is in them.
fn own_packages(code: &Path) -> Vec<PathBuf> {
    let folders = code.ancestors().map(|folder| folder.join("node_modules"));
    folders.filter(|folder| folder.join("aws-lambda-ric").is_dir()).collect()
}

async fn find_python(program: &str) -> Result<(PathBuf, bool), CommandError> {
    let said = ask(program, &["-c", ASK_PYTHON]).await?;
    let mut lines = said.lines();
    let path = lines.next().unwrap_or_default();
    Ok((PathBuf::from(path), lines.next() == Some("awslambdaric")))
}

async fn find_node(program: &str) -> Result<PathBuf, CommandError> {
    Ok(PathBuf::from(ask(program, &["-e", ASK_NODE]).await?))
}

/// `None` too where one is installed that cannot be loaded.
async fn find_aws_lambda_ric(program: &str, packages: &[PathBuf]) -> Option<PathBuf> {
    let packages: Vec<_> = packages.iter().map(|folder| folder.display().to_string()).collect();
    let mut arguments = vec!["-e", ASK_FOR_AWS_LAMBDA_RIC, "--"];
    arguments.extend(packages.iter().map(String::as_str));
    let found = ask(program, &arguments).await.ok()?;
    (!found.is_empty()).then(|| PathBuf::from(found))
}

async fn ask(program: &str, arguments: &[&str]) -> Result<String, CommandError> {
    let failed = |reason: String| CommandError::Interpreter { program: program.to_owned(), reason };
    let output = Command::new(program).args(arguments).output().await.map_err(|e| failed(e.to_string()))?;
    if !output.status.success() {
        return Err(failed(String::from_utf8_lossy(&output.stderr).trim().to_owned()));
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

fn bootstrap(code: &Path) -> Result<(PathBuf, Vec<String>), CommandError> {
    let path = code.join("bootstrap");
    if !path.is_file() {
        return Err(CommandError::NoBootstrap(path));
    }
    Ok((path, Vec::new()))
}
