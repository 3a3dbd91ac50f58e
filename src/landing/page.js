'use strict';
(function () {
  var box = document.getElementById('filter');
  if (!box) return;
  var found = document.getElementById('found');
  var groups = Array.from(document.querySelectorAll('.group'));
  var rows = Array.from(document.querySelectorAll('.service'), function (row) {
    return { row: row, text: row.textContent.toLowerCase() };
  });
  function apply() {
    var words = box.value.toLowerCase().split(/\s+/).filter(Boolean);
    var count = 0;
    rows.forEach(function (item) {
      var hit = words.every(function (word) { return item.text.includes(word); });
      item.row.hidden = !hit;
      count += hit;
    });
    groups.forEach(function (group) { group.hidden = !group.querySelector('.service:not([hidden])'); });
    found.textContent = words.length ? count + ' of ' + rows.length : '';
  }
  box.addEventListener('input', apply);
  document.addEventListener('keydown', function (event) {
    if (event.ctrlKey || event.altKey || event.metaKey) return;
    if (event.key === '/' && document.activeElement !== box) {
      event.preventDefault();
      box.focus();
      box.select();
    } else if (event.key === 'Escape' && document.activeElement === box) {
      box.value = '';
      apply();
    }
  });
  document.getElementById('search').hidden = false;
  apply();
})();
