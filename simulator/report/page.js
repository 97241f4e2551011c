"use strict";
(() => {
  const dark = window.matchMedia("(prefers-color-scheme: dark)");
  const plots = [...document.querySelectorAll(".plot")];
  const textColour = () => getComputedStyle(document.body).color;
  const hoverColours = () => {
    const style = getComputedStyle(document.documentElement);
    return { bgcolor: style.getPropertyValue("--card").trim(), bordercolor: style.getPropertyValue("--line").trim() };
  };

  function draw(plot) {
    const figure = JSON.parse(plot.nextElementSibling.textContent);
    figure.layout.font.color = textColour();
    Object.assign(figure.layout.hoverlabel, hoverColours());
    figure.layout.hoverlabel.font.color = textColour();
    return Plotly.newPlot(plot, figure.data, figure.layout, {
      responsive: true,
      displaylogo: false,
      displayModeBar: plot.hasAttribute("data-tools"),
      plotlyServerURL: "",
      // named one by one: plotly's own choice has a button that uploads the chart
      modeBarButtons: [["toImage"], ["zoom2d", "pan2d", "zoomIn2d", "zoomOut2d", "resetScale2d"]],
    });
  }

  function recolour(colour) {
    for (const plot of plots) {
      const hover = Object.fromEntries(Object.entries(hoverColours()).map(([key, value]) => [`hoverlabel.${key}`, value]));
      Plotly.relayout(plot, { "font.color": colour, "hoverlabel.font.color": colour, ...hover });
    }
  }

  plots.forEach(draw);
  dark.addEventListener("change", () => recolour(textColour()));
  window.addEventListener("beforeprint", () => recolour("#14202b"));
  window.addEventListener("afterprint", () => recolour(textColour()));
})();
