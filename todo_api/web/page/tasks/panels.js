/**
 * What is needed when the user does something, and not for the first list. It is loaded after that.
 */

export { createCard } from "./card.js";
export { enableDrag } from "./drag.js";
export { eraseTasks } from "./erase.js";
export { openDue, openPriorities, openStatus, openSort, openMore, openTags } from "./filter-menus.js";
export { openTaskMenu } from "./menus.js";
export { stepPlace } from "./places.js";
export { createSelectionBar } from "./selection-bar.js";
