//! The report as one page: tables and plots, with everything inside it, so that it opens without a network.
//!
//! The plots are made by uPlot (`vendor/uplot`, with its licence), a small charting library that is inlined.

use crate::report::Report;

const TEMPLATE: &str = include_str!("page.html");
const CHARTS: &str = include_str!("../vendor/uplot/uPlot.iife.min.js");
const CHARTS_STYLE: &str = include_str!("../vendor/uplot/uPlot.min.css");

pub fn render(report: &Report) -> anyhow::Result<String> {
    // Within a script element only `</` could end it, which JSON may as well write as `<\/`.
    let json = serde_json::to_string(report)?.replace("</", "<\\/");
    let mut page = String::with_capacity(TEMPLATE.len() + CHARTS.len() + json.len() + 4096);
    let mut rest = TEMPLATE;
    for (mark, text) in [("/*STYLE*/", CHARTS_STYLE), ("/*REPORT*/", &json), ("/*CHARTS*/", CHARTS)] {
        let (before, after) = rest.split_once(mark).expect("the template has every mark, in this order");
        page.extend([before, text]);
        rest = after;
    }
    page.push_str(rest);
    Ok(page)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::summary::tests::report;

    #[test]
    fn the_page_needs_no_network_and_nothing_ends_its_script() {
        let page = render(&report(1.0)).unwrap();
        let own = page.replace(CHARTS, "").replace(CHARTS_STYLE, "");
        assert!(!own.contains("src=") && !own.contains("href="), "something is loaded from elsewhere");
        assert!(own.contains(r"<\/script>"), "a name could end the script");
        assert!(page.contains("uPlot=") && page.contains("no acknowledged write is lost"));
    }
}
