// A table of any length: only the rows in view have elements.

const ROW_PX = 30;

/**
 * `columns`: {title, width, cell(element, row), order(row)}; `order` yields what rows are sorted by.
 * `key(row)` tells rows apart, and `chosen(row)`, where it is given, makes them selectable.
 */
class Grid {
  constructor(element, { label, columns, rows: visible, key, chosen, sorted = 0, descending = false, empty }) {
    Object.assign(this, { columns, key, chosen, sorted, descending, rows: [], active: 0, selected: null, pool: [] });
    this.template = columns.map((column) => column.width).join(" ");
    this.root = element;
    element.className = chosen ? "grid selectable" : "grid";
    element.tabIndex = 0;
    setAttributes(element, { role: "grid", "aria-label": label, "aria-colcount": columns.length });
    element.append(this.makeHead());
    this.body = element.appendChild(make("div", "grid-body", { role: "rowgroup" }));
    this.body.style.maxHeight = `${visible * ROW_PX}px`;
    this.spacer = this.body.appendChild(make("div", "", { role: "presentation" }));
    this.empty = element.appendChild(make("p", "grid-empty", {}, empty));
    this.body.addEventListener("scroll", () => this.draw(), { passive: true });
    new ResizeObserver(() => this.draw()).observe(this.body);
    element.addEventListener("keydown", (event) => this.pressed(event));
    this.show([]);
  }

  makeHead() {
    const head = make("div", "grid-row grid-head", { role: "row" });
    head.style.gridTemplateColumns = this.template;
    this.heads = this.columns.map((column, nth) => {
      const cell = head.appendChild(make("div", column.number ? "cell number" : "cell", { role: "columnheader" }));
      const button = cell.appendChild(make("button", "", { type: "button" }));
      button.addEventListener("click", () => {
        this.descending = this.sorted === nth && !this.descending;
        this.sorted = nth;
        this.show(this.rows);
      });
      return cell;
    });
    return head;
  }

  /** Shows these rows instead of those before; what was selected and in view stays so. */
  show(rows) {
    const activeKey = this.rows[this.active] && this.key(this.rows[this.active]);
    const { order } = this.columns[this.sorted];
    const sign = this.descending ? -1 : 1;
    const keyed = rows.map((row) => [order(row), row]);
    keyed.sort(([one], [other]) => (one < other ? -sign : one > other ? sign : 0));
    this.rows = keyed.map(([, row]) => row);
    const at = this.rows.findIndex((row) => this.key(row) === activeKey);
    this.active = Math.max(0, at);
    for (const [nth, cell] of this.heads.entries()) {
      const arrow = nth !== this.sorted ? "" : this.descending ? " ↓" : " ↑";
      cell.firstChild.textContent = this.columns[nth].title + arrow;
      if (arrow) cell.setAttribute("aria-sort", this.descending ? "descending" : "ascending");
      else cell.removeAttribute("aria-sort");
    }
    this.root.setAttribute("aria-rowcount", this.rows.length + 1);
    this.spacer.style.height = `${this.rows.length * ROW_PX}px`;
    this.empty.hidden = this.rows.length > 0;
    this.draw();
  }

  select(key) {
    this.selected = key;
    this.draw();
  }

  /** Brings the elements in line with what is in view. */
  draw() {
    const first = Math.floor(this.body.scrollTop / ROW_PX);
    const last = Math.min(this.rows.length, first + Math.ceil(this.body.clientHeight / ROW_PX) + 1);
    while (this.pool.length < last - first) this.pool.push(this.makeRow());
    while (this.pool.length > Math.max(0, last - first)) this.pool.pop().remove();
    this.pool.forEach((element, nth) => this.fill(element, first + nth));
    const active = this.pool[this.active - first];
    if (active) this.root.setAttribute("aria-activedescendant", active.id);
    else this.root.removeAttribute("aria-activedescendant");
  }

  makeRow() {
    const id = `${this.root.id}-row-${this.pool.length}`;
    const row = this.body.appendChild(make("div", "grid-row", { role: "row", id }));
    row.style.gridTemplateColumns = this.template;
    for (const column of this.columns) {
      row.append(make("div", `cell ${column.number ? "number" : ""} ${column.quiet ? "quiet" : ""}`, { role: "gridcell" }));
    }
    row.addEventListener("click", () => {
      this.active = row.index;
      this.choose();
    });
    return row;
  }

  fill(element, index) {
    const row = this.rows[index];
    element.index = index;
    element.style.transform = `translateY(${index * ROW_PX}px)`;
    element.setAttribute("aria-rowindex", index + 2);
    if (this.chosen) element.setAttribute("aria-selected", this.key(row) === this.selected);
    element.classList.toggle("active", index === this.active);
    this.columns.forEach((column, nth) => column.cell(element.children[nth], row));
  }

  choose() {
    const row = this.rows[this.active];
    if (!this.chosen || !row) return;
    this.select(this.key(row));
    this.chosen(row);
  }

  pressed(event) {
    if (event.target !== this.root) return;
    const page = Math.max(1, Math.floor(this.body.clientHeight / ROW_PX) - 1);
    const steps = { ArrowDown: 1, ArrowUp: -1, PageDown: page, PageUp: -page, Home: -Infinity, End: Infinity };
    if (event.key === "Enter" || event.key === " ") this.choose();
    else if (event.key in steps) {
      this.active = Math.max(0, Math.min(this.rows.length - 1, this.active + steps[event.key]));
      this.scrollTo(this.active);
      this.draw();
    } else return;
    event.preventDefault();
  }

  scrollTo(index) {
    const top = index * ROW_PX;
    const bottom = top + ROW_PX - this.body.clientHeight;
    this.body.scrollTop = Math.max(bottom, Math.min(top, this.body.scrollTop));
  }
}

function make(tag, className, attributes = {}, text = "") {
  const element = document.createElement(tag);
  if (className) element.className = className;
  setAttributes(element, attributes);
  if (text) element.textContent = text;
  return element;
}

function setAttributes(element, attributes) {
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
}

/** Sets the text of a cell, and its title where it may be cut. */
function text(element, value) {
  if (element.textContent !== value) element.textContent = value;
  if (element.title !== value) element.title = value;
}
