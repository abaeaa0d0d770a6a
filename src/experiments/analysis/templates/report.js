// Draws the figures that the page carries as data; without it the still pictures stay.
(() => {
  "use strict";
  const source = document.getElementById("figures").textContent;
  const darkColours = JSON.parse(document.getElementById("dark-colours").textContent);
  const dark = window.matchMedia("(prefers-color-scheme: dark)");
  const options = { responsive: true, displayModeBar: false };

  const themed = () => {
    const swap = (text, [light, onDark]) => text.replaceAll(light, onDark);
    return JSON.parse(dark.matches ? darkColours.reduce(swap, source) : source);
  };

  const draw = () => {
    const card = getComputedStyle(document.documentElement).getPropertyValue("--card");
    for (const [name, figure] of Object.entries(themed())) {
      const chart = document.getElementById("chart-" + name);
      const live = chart.querySelector(".live");
      live.hidden = false;
      if (chart.hidden) continue;
      figure.layout.font.family = getComputedStyle(document.body).fontFamily;
      figure.layout.hoverlabel.bgcolor = card;
      Plotly.react(live, figure.data, figure.layout, options);
    }
  };

  const select = (tabs, chosen) => {
    for (const tab of tabs) {
      tab.setAttribute("aria-selected", String(tab === chosen));
      document.getElementById("chart-" + tab.dataset.chart).hidden = tab !== chosen;
    }
  };

  const show = (tabs, chosen) => {
    select(tabs, chosen);
    draw();
  };

  for (const bar of document.querySelectorAll(".tabs")) {
    const tabs = [...bar.querySelectorAll("button")];
    for (const tab of tabs) tab.addEventListener("click", () => show(tabs, tab));
    bar.classList.add("ready");
    select(tabs, tabs[0]);
  }
  draw();
  dark.addEventListener("change", draw);
})();
