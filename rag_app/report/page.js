"use strict";
for (const box of document.querySelectorAll(".questions")) {
  const form = box.querySelector(".controls"), list = box.querySelector(".rows");
  const said = form.querySelector("output"), alone = !form.querySelector("[data-do=different]");
  const part = (name) => form.querySelector(`[data-do=${name}]`);
  const rows = Array.from(list.children, (item, place) => ({
    item, place,
    before: Number(item.dataset.b) || Infinity,
    after: Number(item.dataset.a) || Infinity,
    question: item.querySelector(".q").textContent,
    text: item.textContent.toLowerCase(),
    badge: item.querySelector(".state"),
  }));
  const stateOf = (row, k) => {
    const was = row.before <= k, now = row.after <= k;
    return was && now ? "found in both" : now ? "fixed" : was ? "broken" : "still missed";
  };
  const names = alone ? { "still missed": "missed", "found in both": "found" } : {};
  const orders = [
    (a, b) => a.place - b.place,
    (a, b) => (a.before === b.before ? a.place - b.place : a.before - b.before),
    (a, b) => (a.after === b.after ? a.place - b.place : a.after - b.after),
    (a, b) => a.question.localeCompare(b.question),
  ];
  const show = () => {
    const words = part("search").value.toLowerCase().split(/\s+/).filter(Boolean);
    const wanted = part("state").value, k = Number(part("depth").value);
    const different = !alone && part("different").checked;
    let shown = 0;
    for (const row of rows) {
      const state = stateOf(row, k), name = names[state] || state;
      row.badge.textContent = name;
      row.badge.className = "state " + name.replaceAll(" ", "-");
      const fits = (!wanted || wanted === state) && (!different || row.before !== row.after) &&
        words.every((word) => row.text.includes(word));
      row.item.hidden = !fits;
      shown += fits;
    }
    said.textContent = `${shown} of ${rows.length} shown`;
  };
  const sort = () => list.append(...[...rows].sort(orders[Number(part("sort").value)]).map((row) => row.item));
  form.addEventListener("submit", (event) => event.preventDefault());
  form.addEventListener("input", show);
  part("sort").addEventListener("change", sort);
  form.hidden = false;
  show();
}
