"""Detectron2's R-CNN recipe on torchvision's operators, tested equal to it.

Written after facebookresearch/detectron2 @02b5c4e (its files are named where one is followed). Letters throughout:
N images, A anchors of an image, R regions, M objects, K classes, C channels; boxes are (left, top, right, bottom) in pixels.
"""
