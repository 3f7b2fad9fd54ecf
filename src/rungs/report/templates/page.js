"use strict";
// Sorting, filters, search and the keyboard. Without this script the page has all of its content.
{
  const all = (selector, within = document) => [...within.querySelectorAll(selector)];

  // --- tables: sort by a column, filter by words, keep the first columns in sight -------------------
  const value = (row, column) => {
    const cell = row.cells[column];
    return cell.dataset.sort ?? cell.textContent;
  };
  const compare = (a, b) => {
    if (a === "" || b === "") return (a === "") - (b === "");  // gaps are last both ways
    const [x, y] = [Number(a), Number(b)];
    return Number.isNaN(x) || Number.isNaN(y) ? a.localeCompare(b, "en", {numeric: true}) : x - y;
  };
  const sort = (heading, body) => {
    const way = heading.ariaSort === "ascending" ? "descending" : "ascending";
    all("th", heading.parentNode).forEach(other => other.removeAttribute("aria-sort"));
    heading.ariaSort = way;
    const column = heading.cellIndex;
    const sign = way === "ascending" ? 1 : -1;
    const rows = [...body.rows].map(row => [value(row, column), row]);
    rows.sort(([a], [b]) => (a === "" || b === "" ? 1 : sign) * compare(a, b));
    body.append(...rows.map(([, row]) => row));
  };
  const words = text => text.toLowerCase().split(/\s+/).filter(Boolean);
  for (const sheet of all(".sheet")) {
    const body = sheet.querySelector("tbody");
    if (!body) continue;
    for (const heading of all("thead th", sheet))
      heading.firstElementChild.addEventListener("click", () => sort(heading, body));
    const filter = sheet.querySelector(".filter");
    filter.addEventListener("input", () => {
      const asked = words(filter.value);
      let shown = 0;
      for (const row of body.rows) {
        const text = [...row.cells].map(cell => cell.textContent).join(" ").toLowerCase();
        row.hidden = !asked.every(word => text.includes(word));
        shown += !row.hidden;
      }
      sheet.querySelector(".matching").textContent = asked.length ? `${shown} of ${body.rows.length} rows` : "";
    });
  }
  const fix = () => {
    for (const table of all(".data")) {
      let left = 0;
      const fixed = all("thead .fixed", table);
      fixed.forEach((heading, index) => {
        const column = heading.cellIndex;
        for (const row of table.rows) {
          row.cells[column].style.left = `${left}px`;
          row.cells[column].classList.toggle("last-fixed", index === fixed.length - 1);
        }
        left += heading.getBoundingClientRect().width;
      });
    }
  };
  const narrow = matchMedia("(max-width: 48rem)");
  if (!narrow.matches) fix();
  addEventListener("resize", () => { if (!narrow.matches) fix(); });

  // --- claims of one verdict ------------------------------------------------------------------------
  const counts = all(".count");
  const choose = chosen => {
    for (const count of counts) count.ariaPressed = String(count.dataset.verdict === chosen);
    for (const claim of all(".claims tbody")) claim.hidden = chosen !== null && claim.dataset.verdict !== chosen;
    for (const table of all(".claims")) {
      const empty = all("tbody:not([hidden])", table).length === 0;
      table.hidden = table.previousElementSibling.hidden = empty;
    }
  };
  for (const count of counts)
    count.addEventListener("click", () => {
      choose(count.ariaPressed === "true" ? null : count.dataset.verdict);
      document.getElementById("claims").scrollIntoView();
    });

  // --- addresses: whatever a link leads to is shown -------------------------------------------------
  const arrive = () => {
    const target = document.getElementById(decodeURIComponent(location.hash.slice(1)));
    if (!target) return;
    if (target.closest("[hidden]")) choose(null);
    for (let at = target; at; at = at.parentElement) if (at.tagName === "DETAILS") at.open = true;
    if (!target.classList.contains("zoom")) target.scrollIntoView();
  };
  addEventListener("hashchange", arrive);
  if (location.hash) arrive();
  // an open figure is closed by a click, or by Escape, which leave no trace in the history
  const close = zoom => {
    const opened = history.state === zoom.id;
    if (opened) history.back();
    else location.replace(zoom.nextElementSibling.hash);
  };
  for (const zoom of all(".zoom")) {
    zoom.addEventListener("click", event => {
      event.preventDefault();
      if (location.hash === zoom.hash) return close(zoom);
      location.hash = zoom.hash;
      history.replaceState(zoom.id, "");
    });
    zoom.nextElementSibling.addEventListener("click", event => {
      event.preventDefault();
      close(zoom);
    });
  }

  // --- search ---------------------------------------------------------------------------------------
  const MOST = 30, AROUND = 60;
  const box = document.getElementById("search");
  const found = document.getElementById("found");
  let index;
  const plain = element => element.textContent.replace(/\s+/g, " ").trim();
  const entry = (element, title, address) => {
    const text = plain(element);
    return {element, title, address, text, lower: text.toLowerCase()};
  };
  const build = () => [
    ...all("main h2, main h3").map(heading => entry(heading, plain(heading), heading.firstElementChild.hash)),
    ...all("[data-search]").map(each => {
      const named = each.querySelector(".statement, figcaption b, b");
      return entry(each, `${each.tagName === "TBODY" ? `${each.querySelector(".id").textContent} ` : ""}${plain(named)}`, `#${each.id}`);
    }),
    ...all(".sheet").flatMap(sheet => [
      ...all(":scope > p:not(.tools)", sheet).map(text => entry(text, plain(sheet.querySelector("h3")), `#${sheet.id}`)),
      ...all("thead th", sheet).map(cell => entry(cell, `column of ${plain(sheet.querySelector("h3"))}`, `#${sheet.id}`)),
      ...all("tbody tr", sheet).map(row => {
        const text = [...row.cells].map(plain).filter(Boolean).join(" · ");
        return {element: row, title: plain(sheet.querySelector("h3")), address: `#${sheet.id}`, text, lower: text.toLowerCase()};
      }),
    ]),
    ...all("header p, .document > p, #origin dd, .rule p, #origin details").map(text => {
      const section = text.closest("section");
      const title = section ? plain(section.querySelector("h2")) : plain(document.querySelector("h1"));
      const own = text.id || (section ? section.id : "top");
      return entry(text, title, `#${own}`);
    }),
  ];
  const snippet = (hit, asked) => {
    const at = Math.max(0, hit.lower.indexOf(asked[0]) - AROUND);
    const text = (at ? "… " : "") + hit.text.slice(at, at + 3 * AROUND) + (at + 3 * AROUND < hit.text.length ? " …" : "");
    const small = document.createElement("small");
    const escaped = asked.map(word => word.replace(/[.*+?^${}()|[\]\\]/g, "\\$&"));
    text.split(new RegExp(`(${escaped.join("|")})`, "gi")).forEach((piece, odd) => {
      if (odd % 2) {
        const mark = document.createElement("mark");
        mark.textContent = piece;
        small.append(mark);
      } else small.append(piece);
    });
    return small;
  };
  const search = () => {
    index ??= build();
    const asked = words(box.value);
    found.hidden = asked.length === 0;
    found.replaceChildren();
    if (!asked.length) return;
    const hits = index.filter(each => asked.every(word => each.lower.includes(word)));
    const titled = hit => asked.every(word => hit.title.toLowerCase().includes(word));
    hits.sort((a, b) => titled(b) - titled(a));
    for (const hit of hits.slice(0, MOST)) {
      const item = document.createElement("li");
      const link = document.createElement("a");
      link.href = hit.address;
      link.append(hit.title, snippet(hit, asked));
      link.addEventListener("click", () => {
        found.hidden = true;
        if (hit.element.tagName === "TR") setTimeout(() => show(hit.element));
      });
      item.append(link);
      found.append(item);
    }
    const rest = document.createElement("p");
    rest.className = "quiet";
    rest.textContent = hits.length ? hits.length > MOST ? `${hits.length - MOST} more places` : "" : "Nothing found.";
    if (rest.textContent) found.append(rest);
  };
  const show = row => {
    row.hidden = false;
    row.scrollIntoView({block: "center"});
    row.animate([{outline: "2px solid var(--link)"}, {outline: "2px solid transparent"}], 2500);
  };
  box.addEventListener("input", search);
  box.addEventListener("focus", search);
  const step = by => {
    const links = all("a", found);
    const at = links.indexOf(document.activeElement) + by;
    if (at < 0) box.focus();
    else if (links.length) links[Math.min(at, links.length - 1)].focus();
  };
  document.querySelector(".search").addEventListener("keydown", event => {
    if (event.key === "ArrowDown" || event.key === "ArrowUp") {
      event.preventDefault();
      step(event.key === "ArrowDown" ? 1 : -1);
    } else if (event.key === "Enter" && event.target === box) all("a", found)[0]?.click();
  });
  document.addEventListener("click", event => { if (!event.target.closest(".search")) found.hidden = true; });
  document.addEventListener("keydown", event => {
    if (event.key === "Escape") {
      found.hidden = true;
      const open = document.querySelector(".zoom:target");
      if (open) close(open);
    } else if (event.key === "/" && !event.target.closest("input, textarea")) {
      event.preventDefault();
      box.focus();
    }
  });
}
