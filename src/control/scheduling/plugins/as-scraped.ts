// Thresholds for what is scraped. The wire has scraped values in single precision and numbers of steps in double
// precision: 0.8 of a page arrives as 0.800000012, and is at most 0.8, or equal to it, only if the threshold is rounded
// in the same way.

export const asScraped = Math.fround;
