//! What a person sees while it runs: a line that is drawn again every second on a terminal, and a plain line now and then
//! where there is none.

use std::cell::{Cell, RefCell};
use std::io::IsTerminal;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};

use crate::report::Second;

/// Without a terminal, so often.
const PLAIN: Duration = Duration::from_secs(5);

pub struct Live {
    bar: Option<ProgressBar>,
    phase: RefCell<String>,
    said: Cell<Option<Instant>>,
}

impl Live {
    pub fn new() -> Live {
        let bar = std::io::stderr().is_terminal().then(|| {
            let bar = ProgressBar::no_length();
            bar.enable_steady_tick(Duration::from_millis(200));
            bar
        });
        Live { bar, phase: RefCell::default(), said: Cell::new(None) }
    }

    /// What happens now, where there is nothing to measure.
    pub fn phase(&self, text: &str) {
        match &self.bar {
            Some(bar) => {
                bar.set_style(ProgressStyle::default_spinner());
                bar.set_message(text.to_owned());
            }
            None => {
                // Progress within a phase is for terminals.
                let head = |text: &str| text.split(':').next().unwrap_or_default().to_owned();
                if head(text) != head(&self.phase.borrow()) {
                    eprintln!("{text}");
                }
            }
        }
        text.clone_into(&mut self.phase.borrow_mut());
    }

    pub fn say(&self, text: &str) {
        match &self.bar {
            Some(bar) => bar.println(text),
            None => eprintln!("{text}"),
        }
    }

    pub fn second(&self, second: &Second, elapsed: Duration, whole: Duration) {
        let line = line(second);
        match &self.bar {
            Some(bar) => {
                if bar.length() != Some(whole.as_secs()) {
                    let template = "{spinner} {elapsed_precise} {bar:24} {msg}";
                    let style = ProgressStyle::with_template(template).expect("a template that is right");
                    bar.set_style(style);
                    bar.set_length(whole.as_secs());
                }
                bar.set_position(elapsed.as_secs());
                bar.set_message(line);
            }
            None if self.said.get().is_none_or(|said| said.elapsed() >= PLAIN) => {
                eprintln!("{:>6.0} s  {line}", second.at_s);
                self.said.set(Some(Instant::now()));
            }
            None => (),
        }
    }

    pub fn end(&self) {
        self.bar.iter().for_each(ProgressBar::finish_and_clear);
    }
}

fn line(second: &Second) -> String {
    let rates: Vec<_> = second.per_second.iter().map(|(name, rate)| format!("{name} {rate:.0}/s")).collect();
    let mut line = match &rates[..] {
        [] => "warming up".to_owned(),
        rates => format!("{}  p50 {:.2} ms  p99 {:.2} ms", rates.join("  "), second.p50_ms, second.p99_ms),
    };
    if second.errors_per_second > 0.0 {
        line += &format!("  errors {:.0}/s", second.errors_per_second);
    }
    let lag = second.lag_ms.iter().max_by(|one, other| one.1.total_cmp(other.1));
    if let Some((pair, lag)) = lag {
        line += &format!("  lag {lag:.0} ms ({pair})");
    }
    if let (Some(cores), Some(memory)) = (second.server_cores, second.server_memory_mib) {
        line += &format!("  server {cores:.2} cores {memory:.0} MiB");
    }
    line
}
