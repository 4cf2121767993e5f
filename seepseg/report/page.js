// ---- Start ---------------------------------------------------------------------------------------------------------

startDecisions();
if (settings.scenes) {
  startTable();
  await startMap();
}
document.querySelectorAll("[data-review]").forEach(startReview);
document.body.dataset.ready = "yes"; // for those who wait for the page
