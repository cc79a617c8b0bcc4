// Keeps an open page up to date, shows values under the pointer, and copies. Every page is whole without it.
(() => {
  "use strict";

  // What each part of the page was when it was last served.
  const last = new Map();

  function follow(path) {
    const source = new EventSource(path);
    let lists = null;
    source.addEventListener("update", (event) => {
      const update = JSON.parse(event.data);
      for (const [key, text] of Object.entries(update.values)) {
        for (const element of document.querySelectorAll(`[data-k="${key}"]`)) {
          if (element.textContent === text) continue;
          element.textContent = text;
          element.classList.remove("new");
          void element.offsetWidth;
          element.classList.add("new");
        }
      }
      if (lists !== null && lists !== update.lists) renew();
      lists = update.lists;
    });
    setInterval(renew, 60000);
  }

  // Lists and charts are fetched again as they are, from the page itself.
  async function renew() {
    const parts = document.querySelectorAll("[data-part]");
    if (parts.length === 0 || document.hidden) return;
    const answer = await fetch(location.href, { headers: { accept: "text/html" } }).catch(() => null);
    if (!answer || !answer.ok) return;
    const fresh = new DOMParser().parseFromString(await answer.text(), "text/html");
    for (const part of parts) {
      const now = fresh.querySelector(`[data-part="${part.dataset.part}"]`);
      // What is being read or has the focus is left alone until the next time.
      if (!now || part.querySelector(":focus-visible") || part.querySelector(".tip.on")) continue;
      const served = now.innerHTML;
      if (served === last.get(part)) continue;
      last.set(part, served);
      const scrolled = [...part.querySelectorAll(".scroll")].map((table) => table.scrollLeft);
      part.replaceChildren(...now.childNodes);
      part.querySelectorAll(".scroll").forEach((table, at) => { table.scrollLeft = scrolled[at] ?? 0; });
    }
    charts();
    tables();
  }

  // Tables wider than the screen are scrolled by keyboard too.
  function tables() {
    for (const table of document.querySelectorAll(".scroll")) {
      if (table.scrollWidth <= table.clientWidth + 1) continue;
      const title = table.closest("section")?.querySelector("h2") ?? document.querySelector("h1");
      table.tabIndex = 0;
      table.setAttribute("role", "region");
      table.setAttribute("aria-label", title.textContent.trim());
    }
  }

  function charts() {
    for (const svg of document.querySelectorAll("svg.chart:not(.bars)")) {
      if (svg.dataset.ready) continue;
      svg.dataset.ready = "1";
      const tip = svg.querySelector(".tip");
      const tips = tip.dataset.tips.split("|");
      const path = svg.querySelector(".line");
      if (!path || tips.length < 2) continue;
      const points = path.getAttribute("d").split(/[ML]/).slice(1).map((pair) => pair.split(" ").map(Number));
      // One line in words for both drawings of a chart, of which one is shown.
      const said = svg.parentElement.querySelector(".said");
      const whole = said.textContent;
      let chosen = points.length - 1;
      const show = (at) => {
        chosen = Math.max(0, Math.min(points.length - 1, at));
        const [px, py] = points[chosen];
        tip.classList.add("on");
        tip.querySelector("line").setAttribute("x1", px);
        tip.querySelector("line").setAttribute("x2", px);
        tip.querySelector("circle").setAttribute("cx", px);
        tip.querySelector("circle").setAttribute("cy", py);
        said.textContent = tips[chosen];
      };
      const hide = () => {
        tip.classList.remove("on");
        said.textContent = whole;
      };
      const point = (event) => {
        const box = svg.getBoundingClientRect();
        const x = ((event.clientX - box.left) / box.width) * Number(svg.dataset.width);
        let nearest = 0;
        points.forEach(([px], at) => {
          if (Math.abs(px - x) < Math.abs(points[nearest][0] - x)) nearest = at;
        });
        show(nearest);
      };
      svg.tabIndex = 0;
      svg.addEventListener("keydown", (event) => {
        const steps = { ArrowLeft: -1, ArrowRight: 1, Home: -points.length, End: points.length };
        if (!(event.key in steps)) return;
        event.preventDefault();
        show(chosen + steps[event.key]);
      });
      svg.addEventListener("blur", hide);
      svg.addEventListener("pointermove", point);
      svg.addEventListener("pointerdown", point);
      // A finger leaves the glass to read what it touched.
      svg.addEventListener("pointerleave", (event) => {
        if (event.pointerType === "touch") setTimeout(hide, 5000);
        else hide();
      });
    }
  }

  function copying() {
    for (const button of document.querySelectorAll("[data-copy]")) {
      if (!navigator.clipboard) return;
      button.hidden = false;
      button.addEventListener("click", async () => {
        await navigator.clipboard.writeText(document.getElementById(button.dataset.copy).textContent);
        const name = button.textContent;
        button.textContent = "Copied";
        setTimeout(() => { button.textContent = name; }, 1500);
      });
    }
  }

  const live = document.body.dataset.live;
  if (live) follow(live);
  for (const here of document.querySelectorAll("[data-origin]")) here.textContent = location.origin;
  charts();
  tables();
  copying();
})();
