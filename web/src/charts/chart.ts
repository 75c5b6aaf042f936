/** The parts of the chart library that are used; loaded when a chart is first shown. */
import { BarChart, LineChart } from "echarts/charts"
import { GridComponent, TooltipComponent } from "echarts/components"
import { init, use } from "echarts/core"
import { SVGRenderer } from "echarts/renderers"

use([BarChart, LineChart, GridComponent, TooltipComponent, SVGRenderer])

export { init }
