//! Graphs of results, as SVG.

use std::ops::Range;
use std::path::Path;

use anyhow::{Result, anyhow};
use plotters::prelude::*;

/// One line of a graph.
pub(crate) struct Line {
    pub(crate) name: String,
    pub(crate) points: Vec<(f64, f64)>,
}

/// What a graph shows.
pub(crate) struct Graph<'a> {
    pub(crate) title: &'a str,
    pub(crate) x: &'a str,
    pub(crate) y: &'a str,
    pub(crate) lines: Vec<Line>,
}

/// Draws a bar for each name, from zero, with its value behind it.
pub(crate) fn bars(file: &Path, title: &str, values: &[(&str, f64)]) -> Result<()> {
    draw_bars(file, title, values)
        .map_err(|error| anyhow!("failed to draw `{}`: {error}", file.display()))
}

fn draw_bars(
    file: &Path,
    title: &str,
    values: &[(&str, f64)],
) -> Result<(), Box<dyn std::error::Error>> {
    const ROW: i32 = 34;
    const LEFT: i32 = 230;
    const WIDTH: f64 = 440.0;
    let rows = i32::try_from(values.len())?;
    let height = u32::try_from(60 + ROW * rows)?;
    let area = SVGBackend::new(file, (760, height)).into_drawing_area();
    area.fill(&WHITE)?;
    area.draw(&Text::new(title.to_owned(), (12, 14), ("sans-serif", 18)))?;
    let most = values.iter().map(|(_, value)| *value).fold(f64::MIN_POSITIVE, f64::max);
    for (row, (name, value)) in (0..rows).zip(values) {
        let top = 48 + ROW * row;
        let right = LEFT + (value / most * WIDTH).round() as i32;
        let colour = COLOURS[usize::from(!name.contains("dayfly"))];
        area.draw(&Text::new((*name).to_owned(), (12, top + 4), ("sans-serif", 15)))?;
        area.draw(&Rectangle::new([(LEFT, top), (right, top + ROW - 12)], colour.filled()))?;
        let decimals = if most < 1000.0 { 2 } else { 0 };
        let said = format!("{value:.decimals$}");
        area.draw(&Text::new(said, (right + 8, top + 4), ("sans-serif", 15)))?;
    }
    area.present()?;
    Ok(())
}

const COLOURS: [RGBColor; 4] =
    [RGBColor(0, 90, 160), RGBColor(200, 80, 0), RGBColor(0, 130, 70), RGBColor(130, 60, 150)];

impl Graph<'_> {
    /// Draws the graph, from zero to a little more than the largest values.
    pub(crate) fn write(&self, file: &Path) -> Result<()> {
        self.draw(file).map_err(|error| anyhow!("failed to draw `{}`: {error}", file.display()))
    }

    fn draw(&self, file: &Path) -> Result<(), Box<dyn std::error::Error>> {
        let area = SVGBackend::new(file, (760, 420)).into_drawing_area();
        area.fill(&WHITE)?;
        let mut chart = ChartBuilder::on(&area)
            .caption(self.title, ("sans-serif", 18))
            .margin(12)
            .x_label_area_size(42)
            .y_label_area_size(64)
            .build_cartesian_2d(self.range(|point| point.0), self.range(|point| point.1))?;
        chart.configure_mesh().light_line_style(WHITE).x_desc(self.x).y_desc(self.y).draw()?;
        for (line, colour) in self.lines.iter().zip(COLOURS.iter().cycle()) {
            let points = line.points.iter().copied();
            chart
                .draw_series(LineSeries::new(points, colour.stroke_width(2)).point_size(2))?
                .label(&line.name)
                .legend(|(x, y)| PathElement::new([(x, y), (x + 16, y)], colour.stroke_width(2)));
        }
        chart
            .configure_series_labels()
            .position(SeriesLabelPosition::LowerLeft)
            .border_style(BLACK)
            .background_style(WHITE)
            .draw()?;
        area.present()?;
        Ok(())
    }

    fn range(&self, of: impl Fn(&(f64, f64)) -> f64) -> Range<f64> {
        let all = self.lines.iter().flat_map(|line| &line.points).map(of);
        0.0..all.fold(f64::MIN_POSITIVE, f64::max) * 1.05
    }
}
