// What is wider than the screen scrolls by itself, and must be reachable with the keyboard.
const scrollers = document.querySelectorAll(
  "pre, .table-wrapper, .math-block, .cell_output .output"
);
const update = (element) => {
  if (element.scrollWidth > element.clientWidth) {
    element.tabIndex = 0;
  } else {
    element.removeAttribute("tabindex");
  }
};
const watcher = new ResizeObserver((entries) => entries.forEach(({ target }) => update(target)));
scrollers.forEach((element) => watcher.observe(element));
