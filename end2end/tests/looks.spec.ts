import AxeBuilder from "@axe-core/playwright";
import { expect, hydrated, test } from "./server";

const paths = ["/", "/studies/new", "/examples", "/examples/when-should-distillation-stop", "/data", "/shares", "/gallery", "/studies/404", "/nothing"];

for (const colorScheme of ["light", "dark"] as const) {
  test(`every page is open to everybody and fits its window, ${colorScheme}`, async ({ browser, server }) => {
    for (const width of [390, 1024, 1600]) {
      const context = await browser.newContext({ baseURL: server.baseUrl, colorScheme, viewport: { width, height: 900 } });
      const page = await context.newPage();
      for (const path of paths) {
        await page.goto(path);
        await hydrated(page);
        const sideways = await page.evaluate(() => document.documentElement.scrollWidth - window.innerWidth);
        expect(sideways, `${path} at ${width} pixels`).toBeLessThanOrEqual(0);
        const found = await new AxeBuilder({ page }).analyze();
        const said = found.violations.map(({ id, nodes }) => `${id}: ${nodes.map(({ html }) => html).join(" | ")}`);
        expect(said, `${path} at ${width} pixels`).toEqual([]);
      }
      await context.close();
    }
  });
}
